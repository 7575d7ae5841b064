//! Addresses by country, found by asking the embedded database about random ones.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use fastrand::Rng;

/// How many random addresses of each family are asked about.
const PROBES: usize = 200_000;

/// At most this many ranges are kept per country and family.
const MAX_RANGES: usize = 64;

/// Countries that send most of the visitors, with their weights; the rest share [`REST_WEIGHT`].
const WEIGHTS: [(&str, u32); 24] = [
    ("US", 3200),
    ("DE", 900),
    ("GB", 700),
    ("IN", 650),
    ("FR", 600),
    ("BR", 450),
    ("CN", 400),
    ("JP", 380),
    ("CA", 350),
    ("NL", 300),
    ("RU", 280),
    ("ES", 240),
    ("IT", 230),
    ("PL", 220),
    ("AU", 200),
    ("SE", 150),
    ("KR", 140),
    ("MX", 130),
    ("CH", 110),
    ("UA", 100),
    ("ID", 90),
    ("AR", 80),
    ("ZA", 60),
    ("NG", 50),
];
const REST_WEIGHT: u32 = 900;
const PRIVATE_WEIGHT: u32 = 60;

/// One visitor in this many comes by IPv6, where the country has such ranges.
const V6_ONE_IN: u32 = 8;

/// The first 16 bits of IPv6 prefixes that registries give away.
const V6_PREFIXES: [u16; 6] = [0x2001, 0x2400, 0x2600, 0x2800, 0x2a00, 0x2c0f];

#[derive(Default)]
struct Ranges {
    /// Networks of 256 addresses, by their first three bytes.
    v4: Vec<[u8; 3]>,
    /// Networks by their first 32 bits.
    v6: Vec<u32>,
}

/// Where visitors may come from.
pub(super) struct Places {
    by_country: BTreeMap<&'static str, Ranges>,
    rest: Vec<&'static str>,
}

impl Places {
    pub(super) fn probe(rng: &mut Rng) -> Self {
        let mut by_country: BTreeMap<&'static str, Ranges> = BTreeMap::new();
        for _ in 0..PROBES {
            let [a, b, c, _] = rng.u32(..).to_be_bytes();
            if let Some(code) = iptocc::country_code(Ipv4Addr::new(a, b, c, 1)) {
                let ranges = &mut by_country.entry(code).or_default().v4;
                if ranges.len() < MAX_RANGES {
                    ranges.push([a, b, c]);
                }
            }
            let prefix = rng.choice(V6_PREFIXES).unwrap_or_default() | rng.u16(0..16);
            let high = u32::from(prefix) << 16 | u32::from(rng.u16(..));
            if let Some(code) = iptocc::country_code(v6_address(high, 1))
                && let Some(ranges) = by_country.get_mut(code)
                && ranges.v6.len() < MAX_RANGES
            {
                ranges.v6.push(high);
            }
        }
        let weighted = |code: &&str| !WEIGHTS.iter().any(|(known, _)| known == code);
        let rest = by_country.keys().copied().filter(weighted).collect();
        Self { by_country, rest }
    }

    pub(super) fn draw_address(&self, rng: &mut Rng) -> String {
        let Some(ranges) = self.draw_country(rng).and_then(|code| self.by_country.get(code)) else {
            return Ipv4Addr::new(10, rng.u8(..), rng.u8(..), rng.u8(1..)).to_string();
        };
        let v6 = rng.u32(0..V6_ONE_IN) == 0;
        if let Some(high) = rng.choice(&ranges.v6).filter(|_| v6) {
            return v6_address(*high, rng.u64(..)).to_string();
        }
        let [a, b, c] = rng.choice(&ranges.v4).copied().unwrap_or([10, 0, 0]);
        Ipv4Addr::new(a, b, c, rng.u8(1..)).to_string()
    }

    /// A country by weight; `None`: a private network.
    fn draw_country(&self, rng: &mut Rng) -> Option<&'static str> {
        let sum: u32 = WEIGHTS.iter().map(|(_, weight)| weight).sum();
        let mut drawn = rng.u32(0..sum + REST_WEIGHT + PRIVATE_WEIGHT);
        for (code, weight) in WEIGHTS {
            if drawn < weight {
                return Some(code);
            }
            drawn -= weight;
        }
        if drawn < REST_WEIGHT { rng.choice(&self.rest).copied() } else { None }
    }
}

fn v6_address(high: u32, low: u64) -> IpAddr {
    IpAddr::V6(Ipv6Addr::from(u128::from(high) << 96 | u128::from(low)))
}
