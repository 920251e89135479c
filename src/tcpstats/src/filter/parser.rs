// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Compiling the text of a filter to a program: recursive descent with a
//! bounded depth and without a tree.

use core::net::{Ipv4Addr, Ipv6Addr};

use super::error::{Expected, ParseError};
use super::lexer::{Lexer, Symbol, Token};
use super::program::{Comparison, Filter, MAX_NESTING, Op, first_bits, greatest, number_of};
use crate::field::{Field, Kind, Unit};
use crate::record::{ipv4, is_scoped, name};
use crate::state::{State, option};
use crate::table::key;
use crate::text::is_printable;

/// Maximum length of a name in a condition, in bytes.
const NAME_MAX: usize = 32;

impl Filter {
    /// Parses a filter in the language of [the module](super).  The zone of an
    /// address must be a number.
    ///
    /// # Errors
    /// Returns the first position at which the text is wrong.
    pub fn parse(text: &str) -> Result<Self, ParseError<'_>> {
        Self::parse_with_zones(text, &|_| None)
    }

    /// Parses a filter in which the zone of an address may also be a name.
    /// `zone_of` returns the number of a zone by its name.
    ///
    /// ```
    /// use tcpstats::Filter;
    /// let zones = |name: &str| (name == "em0").then_some(2);
    /// let filter = Filter::parse_with_zones("host fe80::1%em0", &zones);
    /// assert_eq!(filter, Filter::parse("host fe80::1%2"));
    /// assert!(Filter::parse_with_zones("host fe80::1%em1", &zones).is_err());
    /// ```
    ///
    /// # Errors
    /// Returns the first position at which the text is wrong.
    pub fn parse_with_zones<'a>(
        text: &'a str,
        zone_of: &'a dyn Fn(&str) -> Option<u32>,
    ) -> Result<Self, ParseError<'a>> {
        let mut lexer = Lexer::new(text);
        let token = lexer.token();
        let mut parser = Parser { lexer, token, start: token, filter: Self::everything(), depth: 0, zone_of };
        parser.alternatives(0)?;
        if parser.token.symbol != Symbol::End {
            return Err(parser.wrong(parser.token, Expected::Continuation));
        }
        Ok(parser.filter)
    }
}

/// A number that a condition compares.
#[derive(Clone, Copy)]
struct Quantity {
    name: &'static str,
    unit: Unit,
    greatest: u64,
}

impl Quantity {
    fn of(field: &Field) -> Self {
        Self { name: field.name, unit: field.unit, greatest: greatest(field.kind) }
    }

    const fn expected(self) -> Expected {
        Expected::Number { name: self.name, unit: self.unit }
    }

    /// Returns the factor of a suffix.
    fn factor(self, suffix: &str) -> Option<u64> {
        match (self.unit == Unit::Microseconds, suffix) {
            (_, "") | (true, "us") => Some(1),
            (true, "ms") => Some(1000),
            (true, "s") => Some(1_000_000),
            (false, "k") => Some(1 << 10),
            (false, "M") => Some(1 << 20),
            (false, "G") => Some(1 << 30),
            _ => None,
        }
    }
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    token: Token<'a>,
    /// First token of the condition that is being parsed.
    start: Token<'a>,
    filter: Filter,
    /// Number of truth values on the stack.
    depth: usize,
    /// Returns the number of a zone by its name.
    zone_of: &'a dyn Fn(&str) -> Option<u32>,
}

type Parsed<'a, T> = Result<T, ParseError<'a>>;

impl<'a> Parser<'a> {
    fn wrong(&self, at: Token<'a>, expected: Expected) -> ParseError<'a> {
        let before = self.lexer.text().get(..at.position).unwrap_or_default();
        let column = before.chars().count().saturating_add(1);
        ParseError { position: at.position, expected, found: at.text, column }
    }

    fn advance(&mut self) {
        self.token = self.lexer.token();
    }

    /// Takes the next token if it has this symbol.
    fn take(&mut self, symbol: Symbol) -> bool {
        let is_next = self.token.symbol == symbol;
        if is_next {
            self.advance();
        }
        is_next
    }

    fn push(&mut self, op: Op) -> Parsed<'a, ()> {
        self.depth = op.depth_after(self.depth).ok_or_else(|| self.wrong(self.start, Expected::LessNesting))?;
        if self.filter.push(op) { Ok(()) } else { Err(self.wrong(self.start, Expected::FewerOperations)) }
    }

    /// Parses conditions that are combined with `or`.
    fn alternatives(&mut self, nesting: usize) -> Parsed<'a, ()> {
        self.conjunction(nesting)?;
        while self.take(Symbol::Or) {
            self.conjunction(nesting)?;
            self.push(Op::Or)?;
        }
        Ok(())
    }

    /// Parses conditions that are combined with `and`.
    fn conjunction(&mut self, nesting: usize) -> Parsed<'a, ()> {
        self.negation(nesting)?;
        while self.take(Symbol::And) {
            self.negation(nesting)?;
            self.push(Op::And)?;
        }
        Ok(())
    }

    /// Parses a condition after any number of `not`.
    fn negation(&mut self, nesting: usize) -> Parsed<'a, ()> {
        let mut negated = false;
        while self.take(Symbol::Not) {
            negated = !negated;
        }
        self.start = self.token;
        if self.take(Symbol::Open) {
            if nesting >= MAX_NESTING {
                return Err(self.wrong(self.start, Expected::LessNesting));
            }
            self.alternatives(nesting + 1)?;
            if !self.take(Symbol::Close) {
                return Err(self.wrong(self.token, Expected::Close));
            }
        } else {
            self.condition()?;
        }
        if negated { self.push(Op::Not) } else { Ok(()) }
    }

    fn condition(&mut self) -> Parsed<'a, ()> {
        let (laddr, faddr) = (number_of(key::laddr.field()), number_of(key::faddr.field()));
        let start = self.token;
        if start.symbol != Symbol::Word {
            return Err(self.wrong(start, Expected::Condition));
        }
        self.advance();
        let prefix = |(address, len)| move |field, comparison| Op::Prefix { field, comparison, len, address };
        match start.text {
            "host" => {
                let comparison = self.equality("host")?;
                let (address, zone) = self.scoped_address()?;
                self.either([laddr, faddr], Comparison::Eq, prefix((address, 128)))?;
                self.in_zone(zone, comparison)
            }
            "net" => {
                let comparison = self.equality("net")?;
                let op = prefix(self.network()?);
                self.either([laddr, faddr], comparison, op)
            }
            "lnet" => {
                let comparison = self.equality("lnet")?;
                let op = prefix(self.network()?);
                self.push(op(laddr, comparison))
            }
            "fnet" => {
                let comparison = self.equality("fnet")?;
                let op = prefix(self.network()?);
                self.push(op(faddr, comparison))
            }
            "ip" => self.push(prefix((ipv4([0; 4]), 96))(laddr, Comparison::Eq)),
            "ip6" => self.push(prefix((ipv4([0; 4]), 96))(laddr, Comparison::Ne)),
            "port" => {
                let comparison = self.equality("port")?;
                let number = self.quantity(Quantity { name: "port", ..Quantity::of(key::lport.field()) })?;
                let ports = [key::lport, key::fport].map(|key| number_of(key.field()));
                self.either(ports, comparison, |field, comparison| Op::Number { field, comparison, number })
            }
            "idle" => {
                let comparison = self.comparison();
                let quantity = Quantity { name: "idle", unit: Unit::Microseconds, greatest: u64::MAX };
                let number = self.quantity(quantity)?;
                self.push(Op::Idle { comparison, number })
            }
            name => {
                let field = Field::by_name(name).ok_or_else(|| self.wrong(start, Expected::Condition))?;
                self.field(field)
            }
        }
    }

    /// Parses the rest of a comparison with a field, after its name.
    fn field(&mut self, of: &'static Field) -> Parsed<'a, ()> {
        let field = number_of(of);
        let comparison = if of.kind.is_number() { self.comparison() } else { self.equality(of.name)? };
        let op = match of.kind {
            Kind::Address => {
                let (address, zone) = self.scoped_address()?;
                let op = |comparison| Op::Prefix { field, comparison, len: 128, address };
                if zone.is_none() {
                    return self.push(op(comparison));
                }
                self.push(op(Comparison::Eq))?;
                return self.in_zone(zone, comparison);
            }
            Kind::U8 | Kind::U16 | Kind::U32 | Kind::U64 | Kind::Hex32 => {
                Op::Number { field, comparison, number: self.quantity(Quantity::of(of))? }
            }
            Kind::State => {
                let state = self.value(Expected::State, State::by_name)?;
                Op::Number { field, comparison, number: state.0.into() }
            }
            Kind::Options => Op::Options { field, comparison, bits: self.value(Expected::Option, option::by_name)? },
            Kind::Name16 | Kind::Name32 | Kind::Name64 => {
                let longest = of.kind.size().min(NAME_MAX);
                Op::Name { field, comparison, name: self.name(longest)? }
            }
        };
        self.push(op)
    }

    /// Appends the same comparison for two fields: at least one of them must
    /// match, or, with `!=`, neither.
    fn either(&mut self, of: [u8; 2], is: Comparison, op: impl Fn(u8, Comparison) -> Op) -> Parsed<'a, ()> {
        let [local, foreign] = of;
        self.push(op(local, Comparison::Eq))?;
        self.push(op(foreign, Comparison::Eq))?;
        self.push(Op::Or)?;
        if is == Comparison::Ne { self.push(Op::Not) } else { Ok(()) }
    }

    /// Parses a comparison operator.  Without an operator the comparison is
    /// equality.
    fn comparison(&mut self) -> Comparison {
        let Symbol::Compare(comparison) = self.token.symbol else {
            return Comparison::Eq;
        };
        self.advance();
        comparison
    }

    /// Parses an operator like [`Parser::comparison`], but accepts only `=` and
    /// `!=`.
    fn equality(&mut self, name: &'static str) -> Parsed<'a, Comparison> {
        let at = self.token;
        let comparison = self.comparison();
        if comparison.is_equality() { Ok(comparison) } else { Err(self.wrong(at, Expected::Equality { name })) }
    }

    /// Parses a word with `read`.
    fn value<T>(&mut self, expected: Expected, read: impl FnOnce(&'a str) -> Option<T>) -> Parsed<'a, T> {
        let at = self.token;
        let value = Some(at.text).filter(|_| at.symbol == Symbol::Word).and_then(read);
        let value = value.ok_or_else(|| self.wrong(at, expected))?;
        self.advance();
        Ok(value)
    }

    /// Parses a name, which may be in quotes.
    fn name(&mut self, longest: usize) -> Parsed<'a, [u8; 32]> {
        let at = self.token;
        let text = match at.symbol {
            Symbol::Word => Some(at.text),
            Symbol::Quoted => at.text.strip_prefix('"').and_then(|text| text.strip_suffix('"')),
            _ => None,
        };
        let is_name = |text: &&str| (1..=longest).contains(&text.len()) && text.bytes().all(is_printable);
        let text = text.filter(is_name).ok_or_else(|| self.wrong(at, Expected::Name { longest }))?;
        self.advance();
        Ok(name(text.as_bytes()))
    }

    /// Parses an address, which may be followed by `%` and its zone: a number
    /// or a known name.
    fn scoped_address(&mut self) -> Parsed<'a, ([u8; 16], Option<u32>)> {
        let at = self.token;
        let (text, zone) = self.value(Expected::Address, |text| {
            let (text, zone) = text.split_once('%').map_or((text, None), |(text, zone)| (text, Some(zone)));
            address(text).map(|(address, _)| (address, zone))
        })?;
        let Some(name) = zone else {
            return Ok((text, None));
        };
        // If the name is empty, the error shows the complete address.
        let at_name = if name.is_empty() { at } else { at.tail(name) };
        if !is_scoped(text) {
            return Err(self.wrong(at_name, Expected::ScopedAddress));
        }
        let is_number = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit());
        let zone = if is_number { name.parse().ok() } else { (self.zone_of)(name) };
        zone.map(|zone| (text, Some(zone))).ok_or_else(|| self.wrong(at_name, Expected::Zone))
    }

    /// Completes the comparison of an address: the zone must match too, or,
    /// with `!=`, not both may match.
    fn in_zone(&mut self, zone: Option<u32>, is: Comparison) -> Parsed<'a, ()> {
        if let Some(zone) = zone {
            let field = number_of(key::zone.field());
            self.push(Op::Number { field, comparison: Comparison::Eq, number: zone.into() })?;
            self.push(Op::And)?;
        }
        if is == Comparison::Ne { self.push(Op::Not) } else { Ok(()) }
    }

    /// Parses a network, and returns its address and the length of its prefix
    /// as an IPv6 address.
    fn network(&mut self) -> Parsed<'a, ([u8; 16], u8)> {
        let at = self.token;
        let (text, len) = self.value(Expected::Network, |text| text.split_once('/'))?;
        let (address, greatest) = address(text).ok_or_else(|| self.wrong(at, Expected::Network))?;
        let bits = Some(len).filter(|len| len.bytes().all(|byte| byte.is_ascii_digit()));
        let bits = bits.and_then(|bits| bits.parse::<u8>().ok()).filter(|bits| *bits <= greatest);
        let bits = bits.ok_or_else(|| {
            // If the length is empty, the error shows the complete network.
            let at = if len.is_empty() { at } else { at.tail(len) };
            self.wrong(at, Expected::PrefixLength { greatest })
        })?;
        let len = bits.saturating_add(128_u8.saturating_sub(greatest));
        if first_bits(address, len) != u128::from_be_bytes(address) {
            return Err(self.wrong(at, Expected::NoHostBits { len: bits }));
        }
        Ok((address, len))
    }

    /// Parses a number and its optional suffix, which may be a separate word.
    fn quantity(&mut self, quantity: Quantity) -> Parsed<'a, u64> {
        let at = self.token;
        let too_much = Expected::AtMost { name: quantity.name, greatest: quantity.greatest };
        let text = self
            .value(quantity.expected(), |text| text.starts_with(|char: char| char.is_ascii_digit()).then_some(text))?;
        let (radix, text) = text.strip_prefix("0x").map_or((10, text), |text| (16, text));
        let (digits, rest) = split(text, |char| char.is_digit(radix));
        if digits.is_empty() {
            return Err(self.wrong(at, quantity.expected()));
        }
        let whole = u64::from_str_radix(digits, radix).map_err(|_| self.wrong(at, too_much))?;
        let (fraction, suffix) = match rest.strip_prefix('.') {
            Some(rest) => split(rest, |char| char.is_ascii_digit()),
            None => ("", rest),
        };
        let has_fraction = suffix.len() < rest.len();
        let is_time = quantity.unit == Unit::Microseconds;
        let whole_number = Expected::WholeNumber { unit: quantity.unit };
        if has_fraction && (fraction.is_empty() || radix != 10 || !is_time) {
            return Err(self.wrong(at.tail(rest), whole_number));
        }
        let mut suffix = at.tail(suffix);
        if suffix.text.is_empty() && matches!(self.token.text, "us" | "ms" | "s" | "k" | "M" | "G") {
            suffix = self.token;
            self.advance();
        }
        let factor = quantity.factor(suffix.text).ok_or_else(|| self.wrong(suffix, quantity.expected()))?;
        let mut number = whole.checked_mul(factor).ok_or_else(|| self.wrong(at, too_much))?;
        let mut unit = factor;
        for digit in fraction.bytes() {
            unit = if unit % 10 == 0 { unit / 10 } else { 0 };
            if unit == 0 {
                return Err(self.wrong(at.tail(rest), whole_number));
            }
            let part = u64::from(digit.saturating_sub(b'0')).saturating_mul(unit);
            number = number.checked_add(part).ok_or_else(|| self.wrong(at, too_much))?;
        }
        if number > quantity.greatest { Err(self.wrong(at, too_much)) } else { Ok(number) }
    }
}

/// Splits the text before the first character for which `is` returns false.
fn split(text: &str, is: impl Fn(char) -> bool) -> (&str, &str) {
    let end = text.find(|char| !is(char)).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

/// Parses an address, and returns it with the maximum length of a prefix in its
/// notation.
fn address(text: &str) -> Option<([u8; 16], u8)> {
    match text.parse::<Ipv4Addr>() {
        Ok(address) => Some((ipv4(address.octets()), 32)),
        Err(_) => text.parse::<Ipv6Addr>().ok().map(|address| (address.octets(), 128)),
    }
}

#[cfg(test)]
mod tests;
