//! Reading choices by hash: `multipath`, `bundle` and `bundle_load`.

use super::error::TextError;
use super::scan::Token;
use super::{Parser, choice, number_u16, number_u32, writable_subfield};
use crate::action::{Bundle, BundleAlgorithm, HashFields, Multipath, MultipathAlgorithm};

impl Parser<'_> {
    /// `FIELDS,BASIS,ALGORITHM,LINKS,ARGUMENT,FIELD[BITS]`.
    pub(super) fn multipath(self, list: Token<'_>) -> Result<Multipath, TextError> {
        let parts: Vec<Token<'_>> = list.split(',').map(Token::trim).collect();
        let [fields, basis, algorithm, n_links, argument, to] = parts[..] else {
            return Err(TextError::form(
                list,
                "of the form multipath(FIELDS,BASIS,ALGORITHM,LINKS,ARGUMENT,FIELD[BITS])",
            ));
        };
        let links = number_u32(n_links)?;
        let to_bits = writable_subfield(to)?;
        if links == 0 || links > 65536 {
            return Err(TextError::form(
                n_links,
                "a number of links from 1 to 65536",
            ));
        }
        if u128::from(links - 1) > crate::field::ones(to_bits.bits) {
            return Err(TextError::rule(
                to,
                "this has too few bits for so many links",
            ));
        }
        Ok(Multipath {
            fields: choice(fields, "set of fields", &HashFields::ALL)?,
            basis: number_u16(basis)?,
            algorithm: choice(algorithm, "algorithm", &MultipathAlgorithm::ALL)?,
            n_links: links,
            argument: number_u32(argument)?,
            to: to_bits,
        })
    }

    /// `FIELDS,BASIS,ALGORITHM,ofport[,FIELD[BITS]],members:PORT,...`.
    pub(super) fn bundle(self, list: Token<'_>, load: bool) -> Result<Bundle, TextError> {
        let form = || {
            TextError::form(
                list,
                match load {
                    true => "bundle_load(FIELDS,BASIS,ALGORITHM,ofport,FIELD[BITS],members:PORTS)",
                    false => "bundle(FIELDS,BASIS,ALGORITHM,ofport,members:PORTS)",
                },
            )
        };
        let (head, members) = list
            .split_once("members:")
            .or_else(|| list.split_once("slaves:"))
            .ok_or_else(form)?;
        let parts: Vec<Token<'_>> = head.split(',').map(Token::trim).collect();
        let (fields, basis, algorithm, kind, to) = match (&parts[..], load) {
            ([fields, basis, algorithm, kind, _], false) => (fields, basis, algorithm, kind, None),
            ([fields, basis, algorithm, kind, to, _], true) => {
                (fields, basis, algorithm, kind, Some(to))
            }
            _ => return Err(form()),
        };
        if kind.text != "ofport" {
            return Err(TextError::form(*kind, "ofport"));
        }
        Ok(Bundle {
            fields: choice(*fields, "set of fields", &HashFields::ALL)?,
            basis: number_u16(*basis)?,
            algorithm: choice(*algorithm, "algorithm", &BundleAlgorithm::ALL)?,
            to: to.map(|to| writable_subfield(*to)).transpose()?,
            members: members
                .split(',')
                .map(Token::trim)
                .filter(|port| !port.text.is_empty())
                .map(|port| self.port(port))
                .collect::<Result<_, _>>()?,
        })
    }
}
