use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::de::{Deserializer as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::address::Address;
use crate::json::{JSON_DEPTH_MAX, Name, check_strict, scan};
use crate::token::{TokenError, clip};
use crate::units::Amount;

/// The members of a token's claims, each taken once by its name.
///
/// Works on the borrowed text: a member's value is a slice of it.
pub(crate) struct Claims<'a> {
    members: Vec<(Cow<'a, str>, &'a str)>,
}

impl<'a> Claims<'a> {
    /// Splits the JSON text `text` into members, checking all of it (SPEC.md section 1).
    pub(crate) fn parse(text: &'a str) -> Result<Self, TokenError> {
        Self::nested(text, JSON_DEPTH_MAX)
    }

    fn nested(text: &'a str, depth_max: usize) -> Result<Self, TokenError> {
        if let Some(members) = scan::members(text, depth_max) {
            let members = members.into_iter();
            let members = members.map(|(name, value)| (Cow::Borrowed(name), value));
            return Ok(Self {
                members: members.collect(),
            });
        }
        check_strict(text, depth_max).map_err(TokenError::Claims)?;
        let mut reader = serde_json::Deserializer::from_str(text);
        let members = reader.deserialize_map(Members);
        let members = members.map_err(|_| TokenError::ClaimsNotObject)?;
        Ok(Self { members })
    }

    /// The raw JSON of a claim, if it is there.
    pub(crate) fn take(&mut self, name: &str) -> Option<&'a str> {
        let at = self.members.iter().position(|(n, _)| n == name)?;
        Some(self.members.swap_remove(at).1)
    }

    /// Is the claim there?
    pub(crate) fn has(&self, name: &str) -> bool {
        self.members.iter().any(|(n, _)| n == name)
    }

    /// The raw JSON of a claim that must be there.
    pub(crate) fn raw(&mut self, name: &'static str) -> Result<&'a str, TokenError> {
        self.take(name).ok_or(TokenError::MissingClaim(name))
    }

    /// A whole number from 0 to 2^53 − 1.
    pub(crate) fn amount<Unit>(&mut self, name: &'static str) -> Result<Amount<Unit>, TokenError> {
        let value = self.raw(name)?.parse().ok();
        let value = value.and_then(|value: u64| Amount::new(value).ok());
        let want = "a whole number from 0 to 2^53 - 1";
        value.ok_or(TokenError::Claim { name, want })
    }

    /// A text.
    pub(crate) fn text(&mut self, name: &'static str) -> Result<Cow<'a, str>, TokenError> {
        let want = "a text";
        text_of(self.raw(name)?).ok_or(TokenError::Claim { name, want })
    }

    /// A text that parses as `T`.
    pub(crate) fn parsed<T: FromStr>(
        &mut self,
        name: &'static str,
        want: &'static str,
    ) -> Result<T, TokenError> {
        let value = text_of(self.raw(name)?).and_then(|text| text.parse().ok());
        value.ok_or(TokenError::Claim { name, want })
    }

    /// An address.
    pub(crate) fn address(&mut self, name: &'static str) -> Result<Address, TokenError> {
        self.parsed(name, "the did:key of an Ed25519 key")
    }

    /// An object inside the claims.
    pub(crate) fn object(&mut self, name: &'static str) -> Result<Claims<'a>, TokenError> {
        let text = self.raw(name)?;
        let want = "an object";
        Self::nested(text, JSON_DEPTH_MAX).map_err(|_| TokenError::Claim { name, want })
    }

    /// Refuses what has not been taken.
    pub(crate) fn finish(self) -> Result<(), TokenError> {
        match self.members.first() {
            Some((name, _)) => Err(TokenError::UnknownClaim(clip(name))),
            None => Ok(()),
        }
    }
}

/// Reads a JSON string; borrowed where it has no escapes.
fn text_of(raw: &str) -> Option<Cow<'_, str>> {
    let inner = raw.strip_prefix('"')?.strip_suffix('"')?;
    if !inner.contains('\\') {
        return Some(Cow::Borrowed(inner));
    }
    serde_json::from_str(raw).map(Cow::Owned).ok()
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Vec<(Cow<'de, str>, &'de str)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::with_capacity(10);
        while let Some(name) = map.next_key_seed(Name)? {
            members.push((name, map.next_value::<&RawValue>()?.get()));
        }
        Ok(members)
    }
}
