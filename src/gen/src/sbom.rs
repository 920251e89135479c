// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The software bill of materials, in `CycloneDX`'s JSON: what is linked into the
//! module and the programs.
//!
//! Tools that read `cargo metadata` list more: features and dependencies of the
//! whole workspace, and crates that only run in the compiler.  `cargo tree`
//! resolves one package for one target, as the build does.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

/// What is built for an operating system.
struct System {
    name: &'static str,
    /// The targets, whose components are merged.
    targets: [&'static str; 2],
    parts: &'static [Part],
}

/// A file of the release that code is linked into.
struct Part {
    name: &'static str,
    kind: &'static str,
    /// The package, and further arguments, as they are passed to cargo to build it.
    package: &'static [&'static str],
    /// The part of the compiler's libraries that is linked.
    library: &'static str,
    embedded: &'static [Embedded],
}

/// Third-party files in the tree that a program contains.
struct Embedded {
    name: &'static str,
    version: &'static str,
    licence: &'static str,
    purl: &'static str,
    /// Its description, which names the version.
    description: &'static str,
}

/// The module uses the library crate without its default features, see rust.sh.
const MODULE: Part = Part {
    name: "siftr_cdev.ko",
    kind: "device-driver",
    package: &["tcpstats", "--no-default-features"],
    library: "core",
    embedded: &[],
};
const LOGGER: Part = Part {
    name: "siftr_cdev_logger",
    kind: "application",
    package: &["siftr_cdev_logger"],
    library: "std",
    embedded: &[],
};
const VIEWER: Part = Part {
    name: "tcpstats",
    kind: "application",
    package: &["tcpstats_viewer"],
    library: "std",
    embedded: &[
        Embedded {
            name: "uPlot",
            version: "1.6.32",
            licence: "MIT",
            purl: "pkg:npm/uplot@1.6.32",
            description: "src/viewer/vendor/uplot/README.md",
        },
        Embedded {
            name: "DejaVu Sans",
            version: "2.37",
            licence: "Bitstream-Vera",
            purl: "pkg:deb/debian/fonts-dejavu-core@2.37-6",
            description: "src/viewer/vendor/dejavu/README.md",
        },
    ],
};

const SYSTEMS: [System; 2] = [
    System {
        name: "freebsd",
        targets: ["x86_64-unknown-freebsd", "aarch64-unknown-freebsd"],
        parts: &[MODULE, LOGGER, VIEWER],
    },
    System {
        name: "linux",
        targets: ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"],
        parts: &[LOGGER, VIEWER],
    },
];

/// What is linked into one part: components by their references, and the
/// references that each depends on.  Two parts can contain the same crate with
/// different features, and thus different dependencies: each has its own components.
struct Bill {
    part: &'static str,
    components: BTreeMap<String, Value>,
    depends: BTreeMap<String, BTreeSet<String>>,
}

impl Bill {
    fn new(part: &'static str) -> Self {
        Self { part, components: BTreeMap::new(), depends: BTreeMap::new() }
    }

    /// Adds a component, and returns its reference, which is unique in the document.
    fn add(&mut self, identifier: &str, mut component: Value) -> String {
        let reference = format!("{}/{identifier}", self.part);
        component["bom-ref"] = json!(reference);
        self.components.insert(reference.clone(), component);
        self.depends.entry(reference.clone()).or_default();
        reference
    }

    fn link(&mut self, from: &str, to: &str) {
        self.depends.entry(from.to_owned()).or_default().insert(to.to_owned());
    }

    /// Adds what `tree`, the output of cargo tree, lists, and returns the root's
    /// reference.  A line is the depth, the package, a tab and the licence.
    fn add_tree(&mut self, tree: &str, checksums: &BTreeMap<String, String>) -> Result<String, String> {
        let mut path: Vec<String> = Vec::new();
        for line in tree.lines() {
            let unexpected = || format!("cargo tree: cannot parse \"{line}\"");
            // The dependencies of a package are listed once.
            let entry = line.strip_suffix(" (*)").unwrap_or(line);
            let name_at = entry.find(|letter: char| !letter.is_ascii_digit()).ok_or_else(unexpected)?;
            let depth: usize = entry[..name_at].parse().map_err(|_| unexpected())?;
            let (package, licence) = entry[name_at..].split_once('\t').ok_or_else(unexpected)?;
            let (name, rest) = package.split_once(" v").ok_or_else(unexpected)?;
            let version = rest.split(' ').next().unwrap_or(rest);
            let checksum = checksums.get(&format!("{name}-{version}"));
            let reference = self.add_crate(name, version, licence, checksum);
            path.truncate(depth);
            if let Some(parent) = path.last() {
                self.link(parent, &reference);
            }
            path.push(reference);
        }
        path.into_iter().next().ok_or_else(|| "cargo tree: no package".into())
    }

    /// Adds a crate, which is ours if `Cargo.lock` has no checksum for it.
    fn add_crate(&mut self, name: &str, version: &str, licence: &str, checksum: Option<&String>) -> String {
        // The separator of old manifests.
        let mut component = library(name, version, &licence.replace('/', " OR "));
        let reference = if let Some(checksum) = checksum {
            let purl = format!("pkg:cargo/{name}@{}", version.replace('+', "%2B"));
            component["purl"] = json!(purl);
            component["hashes"] = json!([{ "alg": "SHA-256", "content": checksum }]);
            self.add(&purl, component)
        } else {
            self.add(name, component)
        };
        // A crate with the sources of a C library has that library's version after
        // its own: 2.0.16+zstd.1.5.7.
        if let Some((c_name, c_version)) = version.split_once('+').and_then(|(_, built)| built.split_once('.')) {
            let purl = format!("pkg:generic/{c_name}@{c_version}");
            let c = json!({ "type": "library", "name": c_name, "version": c_version, "purl": purl });
            let bundled = self.add(&purl, c);
            self.link(&reference, &bundled);
        }
        reference
    }

    /// Adds a library of the compiler, and returns its reference.
    fn add_rust(&mut self, name: &str, version: &str) -> String {
        let purl = format!("pkg:generic/rust@{version}#library/{name}");
        let mut component = library(name, version, "MIT OR Apache-2.0");
        component["purl"] = json!(purl);
        component["cpe"] = json!(format!("cpe:2.3:a:rust-lang:rust:{version}:*:*:*:*:*:*:*"));
        self.add(&purl, component)
    }

    fn add_embedded(&mut self, embedded: &Embedded) -> Result<String, String> {
        let Embedded { name, version, licence, purl, description } = embedded;
        if !crate::read(Path::new(description))?.contains(version) {
            return Err(format!("{description}: does not name version {version}; update src/gen/src/sbom.rs"));
        }
        let mut component = library(name, version, licence);
        component["purl"] = json!(purl);
        Ok(self.add(purl, component))
    }
}

fn library(name: &str, version: &str, licence: &str) -> Value {
    json!({ "type": "library", "name": name, "version": version, "licenses": [{ "expression": licence }] })
}

/// Returns the bill of the release for `system`, for the tree in the current
/// directory.  `time` is that of the commit, in the format of RFC 3339.
///
/// # Errors
/// Returns an error if the system is unknown, if cargo or the compiler fails, or if
/// the version of embedded files has changed.
pub fn generate(system: &str, time: &str) -> Result<String, String> {
    let Some(system) = SYSTEMS.iter().find(|known| known.name == system) else {
        let names = SYSTEMS.map(|known| known.name).join(" or ");
        return Err(format!("{system}: unknown operating system; expected {names}"));
    };
    let checksums = crate::crates::locked(&crate::read(Path::new("Cargo.lock"))?)?;
    let compiler = output("RUSTC", "rustc", &["-V"])?;
    let compiler = compiler.split(' ').nth(1).ok_or_else(|| format!("rustc -V: cannot parse \"{compiler}\""))?;
    let bills = system.parts.iter().map(|part| part_bill(part, &system.targets, &checksums, compiler));
    let bills = bills.collect::<Result<Vec<_>, _>>()?;
    Ok(format!("{:#}\n", document(system, &bills, time)))
}

/// Returns the bill of a part for all `targets`.
fn part_bill(
    part: &Part,
    targets: &[&str],
    checksums: &BTreeMap<String, String>,
    compiler: &str,
) -> Result<Bill, String> {
    let mut bill = Bill::new(part.name);
    for target in targets {
        let mut arguments = vec!["tree", "--locked", "--edges=normal,no-proc-macro", "--prefix=depth"];
        arguments.extend(["--format={p}\t{l}", "--target", target, "--package"]);
        arguments.extend(part.package);
        let root = bill.add_tree(&output("CARGO", "cargo", &arguments)?, checksums)?;
        bill.link(part.name, &root);
    }
    let rust = bill.add_rust(part.library, compiler);
    bill.link(part.name, &rust);
    for embedded in part.embedded {
        let embedded = bill.add_embedded(embedded)?;
        bill.link(part.name, &embedded);
    }
    Ok(bill)
}

fn document(system: &System, bills: &[Bill], time: &str) -> Value {
    const RELEASE: &str = "siftr_cdev";
    let ours = |name: &str, kind: &str| {
        let mut component = library(name, env!("CARGO_PKG_VERSION"), env!("CARGO_PKG_LICENSE"));
        component["type"] = json!(kind);
        component["bom-ref"] = json!(name);
        component
    };
    let components = system.parts.iter().zip(bills).map(|(part, bill)| {
        let mut component = ours(part.name, part.kind);
        component["components"] = bill.components.values().cloned().collect();
        component
    });
    let parts: Vec<_> = system.parts.iter().map(|part| part.name).collect();
    let mut dependencies = vec![json!({ "ref": RELEASE, "dependsOn": parts })];
    let depends = bills.iter().flat_map(|bill| &bill.depends);
    dependencies.extend(depends.map(|(reference, on)| json!({ "ref": reference, "dependsOn": on })));
    json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": time,
            "lifecycles": [{ "phase": "build" }],
            "tools": { "components": [ours("siftr_cdev_gen", "application")] },
            "component": ours(RELEASE, "application"),
            "properties": [{ "name": "siftr_cdev:system", "value": system.name }],
        },
        "components": components.collect::<Vec<_>>(),
        "dependencies": dependencies,
    })
}

/// Runs the program that `variable` names, by default `program`, and returns what
/// it prints.
fn output(variable: &str, program: &str, arguments: &[&str]) -> Result<String, String> {
    let found = std::env::var_os(variable).unwrap_or_else(|| program.into());
    let done = Command::new(found).args(arguments).output().map_err(|error| format!("{program}: {error}"))?;
    if !done.status.success() {
        return Err(format!("{program}: {}: {}", done.status, String::from_utf8_lossy(&done.stderr).trim()));
    }
    String::from_utf8(done.stdout).map_err(|error| format!("{program}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_becomes_components_and_dependencies() {
        let tree = "0ours v2.0.0 (/somewhere)\tBSD-2-Clause\n1a v1.0.0\tMIT/Apache-2.0\n2c-sys v0.1.0+c.3.2\tMIT\n\
            1b v1.1.0\tMIT\n2c-sys v0.1.0+c.3.2\tMIT (*)\n";
        let checksums = ["a-1.0.0", "b-1.1.0", "c-sys-0.1.0+c.3.2"].map(|name| (name.to_owned(), "12".to_owned()));
        let mut bill = Bill::new("x");
        assert_eq!(bill.add_tree(tree, &checksums.into()).unwrap(), "x/ours");
        let depends = |reference: &str| bill.depends[reference].iter().map(String::as_str).collect::<Vec<_>>();
        assert_eq!(depends("x/ours"), ["x/pkg:cargo/a@1.0.0", "x/pkg:cargo/b@1.1.0"]);
        assert_eq!(depends("x/pkg:cargo/b@1.1.0"), ["x/pkg:cargo/c-sys@0.1.0%2Bc.3.2"]);
        assert_eq!(depends("x/pkg:cargo/c-sys@0.1.0%2Bc.3.2"), ["x/pkg:generic/c@3.2"]);
        assert_eq!(bill.components["x/pkg:cargo/a@1.0.0"]["licenses"][0]["expression"], "MIT OR Apache-2.0");
        assert_eq!(bill.components["x/ours"].get("purl"), None);
    }

    #[test]
    fn a_line_that_is_not_a_package_is_an_error() {
        let error = Bill::new("x").add_tree("[build-dependencies]\n", &BTreeMap::new()).err();
        assert_eq!(error.as_deref(), Some("cargo tree: cannot parse \"[build-dependencies]\""));
    }
}
