// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The metric families of `tcpstats serve`, from its output.

/// The value of the labels of `--by` in the output.
const OTHER: &str = "other";

/// A metric family.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Family {
    /// The name, without `_total` and `_info`.
    pub name: String,
    /// The type, as in `OpenMetrics`.
    pub kind: String,
    /// The unit, or an empty string.
    pub unit: String,
    /// The meaning, as a sentence.
    pub help: String,
    /// The labels of the groups, which `--by` selects; empty if it describes the program.
    pub by: Vec<String>,
    /// Its other labels, without `le`.
    pub labels: Vec<String>,
}

/// Returns the metric families in a text in the format of `OpenMetrics`.  The labels of groups
/// have the value `other`.
///
/// # Errors
/// Returns an error if a sample precedes its family.
pub fn parse(text: &str) -> Result<Vec<Family>, String> {
    let mut families: Vec<Family> = Vec::new();
    for line in text.lines() {
        if let Some(metadata) = line.strip_prefix("# ") {
            let mut words = metadata.splitn(3, ' ');
            let (Some(item), Some(name), Some(value)) = (words.next(), words.next(), words.next()) else {
                continue;
            };
            if families.last().is_none_or(|last| last.name != name) {
                families.push(Family { name: name.into(), ..Family::default() });
            }
            if let Some(family) = families.last_mut() {
                match item {
                    "TYPE" => family.kind = value.into(),
                    "UNIT" => family.unit = value.into(),
                    _ => family.help = value.into(),
                }
            }
            continue;
        }
        let family = families.last_mut().filter(|family| line.starts_with(&family.name));
        let family = family.ok_or_else(|| format!("metrics: {line}: no family"))?;
        let labels = line.split_once('{').and_then(|(_, rest)| rest.rsplit_once('}')).map_or("", |(labels, _)| labels);
        for (label, value) in labels.split(',').filter_map(|label| label.split_once('=')) {
            let list = if value.trim_matches('"') == OTHER { &mut family.by } else { &mut family.labels };
            if label != "le" && !list.iter().any(|known| known == label) {
                list.push(label.into());
            }
        }
    }
    Ok(families)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_read_with_their_labels() {
        let text = "# TYPE a_bytes counter\n# UNIT a_bytes bytes\n# HELP a_bytes The bytes.\n\
                    a_bytes_total{port=\"other\",cc=\"other\",why=\"x\"} 1\na_bytes_created{port=\"other\"} 1.0\n\
                    # TYPE b gauge\n# HELP b B.\nb 1\n# EOF\n";
        let [a, b] = parse(text).unwrap().try_into().unwrap();
        let words = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!((a.name.as_str(), a.kind.as_str(), a.unit.as_str()), ("a_bytes", "counter", "bytes"));
        assert_eq!((a.help.as_str(), a.by, a.labels), ("The bytes.", words(&["port", "cc"]), words(&["why"])));
        assert_eq!((b.name.as_str(), b.kind.as_str(), b.by.len()), ("b", "gauge", 0));
        assert!(parse("c 1\n").is_err());
    }
}
