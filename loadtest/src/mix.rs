//! Which credential is sent next, and what its answer must be.

use std::ops::Range;
use std::str::FromStr;
use std::sync::LazyLock;

use memchr::memmem::Finder;

/// What is known of a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Issued and not revoked.
    Valid,
    /// Issued and revoked, acknowledged before the load began.
    Revoked,
    /// Never issued: a wrong checksum, or the shape of another system's key.
    Unknown,
}

impl Class {
    /// All classes, in the order of reports.
    pub const ALL: [Self; 3] = [Self::Valid, Self::Revoked, Self::Unknown];

    /// The name in `--mix` and in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Revoked => "revoked",
            Self::Unknown => "unknown",
        }
    }
}

/// One value per class.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PerClass<T> {
    /// Of [`Class::Valid`].
    pub valid: T,
    /// Of [`Class::Revoked`].
    pub revoked: T,
    /// Of [`Class::Unknown`].
    pub unknown: T,
}

impl<T> PerClass<T> {
    /// The value of a class.
    pub fn get(&self, class: Class) -> &T {
        match class {
            Class::Valid => &self.valid,
            Class::Revoked => &self.revoked,
            Class::Unknown => &self.unknown,
        }
    }

    /// The value of a class, to change it.
    pub fn get_mut(&mut self, class: Class) -> &mut T {
        match class {
            Class::Valid => &mut self.valid,
            Class::Revoked => &mut self.revoked,
            Class::Unknown => &mut self.unknown,
        }
    }
}

/// How many of each class among [`Shares::total`] requests, for example `valid=80,revoked=10,unknown=10`.
pub type Shares = PerClass<u32>;

impl Shares {
    /// What the shares are parts of; above 0.
    #[must_use]
    pub fn total(&self) -> u32 {
        self.valid + self.revoked + self.unknown
    }

    /// The class at `point`, a number below [`Shares::total`].
    #[must_use]
    pub fn class_at(&self, point: u32) -> Class {
        if point < self.valid {
            Class::Valid
        } else if point < self.valid + self.revoked {
            Class::Revoked
        } else {
            Class::Unknown
        }
    }
}

impl FromStr for Shares {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const FORM: &str = "expected shares such as valid=80,revoked=10,unknown=10, each from 0 to 1000000, not all 0";
        let mut shares = Self::default();
        for part in text.split(',') {
            let (name, share) = part.split_once('=').ok_or(FORM)?;
            let class = Class::ALL
                .into_iter()
                .find(|class| class.name() == name.trim())
                .ok_or(FORM)?;
            let share = share
                .trim()
                .parse()
                .ok()
                .filter(|share| *share <= 1_000_000)
                .ok_or(FORM)?;
            *shares.get_mut(class) = share;
        }
        if shares.total() == 0 {
            Err(FORM.to_owned())
        } else {
            Ok(shares)
        }
    }
}

/// A verify request, ready to send.
#[derive(Clone, Debug)]
struct Prepared {
    bytes: Range<usize>,
    /// Of an issued key; a valid answer must name it.
    key_id: Option<Box<str>>,
}

/// All requests of a run. They lie one after the other in one allocation.
#[derive(Debug, Default)]
pub struct Workload {
    bytes: Vec<u8>,
    prepared: PerClass<Vec<Prepared>>,
}

/// One request and what is known of its credential.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// What the answer must say.
    pub class: Class,
    /// The whole HTTP request.
    pub bytes: &'a [u8],
    key_id: Option<&'a str>,
}

impl Workload {
    /// Adds a verify request to `host` for `credential`, which must need no escape in JSON.
    pub fn add(&mut self, host: &str, class: Class, credential: &str, key_id: Option<&str>) {
        let start = self.bytes.len();
        let body = format!(r#"{{"credential":"{credential}"}}"#);
        let head = format!(
            "POST /v2alpha1/admin/apiKeys:verify HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n",
            body.len()
        );
        self.bytes.extend_from_slice(head.as_bytes());
        self.bytes.extend_from_slice(body.as_bytes());
        let bytes = start..self.bytes.len();
        self.prepared.get_mut(class).push(Prepared {
            bytes,
            key_id: key_id.map(Into::into),
        });
    }

    /// How many credentials of a class there are.
    #[cfg(test)]
    pub fn count(&self, class: Class) -> usize {
        self.prepared.get(class).len()
    }

    /// The request that two random numbers choose: the class by its share, the credential uniformly within the class.
    /// `None` when the class that was chosen is empty.
    #[must_use]
    pub fn choose(&self, shares: &Shares, random: &mut Random) -> Option<Request<'_>> {
        let class = shares.class_at(random.below(shares.total()));
        let of_class = self.prepared.get(class);
        let index = random.below(u32::try_from(of_class.len()).unwrap_or(u32::MAX));
        let prepared = of_class.get(usize::try_from(index).ok()?)?;
        let bytes = self.bytes.get(prepared.bytes.clone())?;
        Some(Request {
            class,
            bytes,
            key_id: prepared.key_id.as_deref(),
        })
    }
}

static SAYS_VALID: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(br#""is_valid":true"#));
static SAYS_INVALID: LazyLock<Finder<'static>> =
    LazyLock::new(|| Finder::new(br#""is_valid":false"#));
static SAYS_REVOKED: LazyLock<Finder<'static>> =
    LazyLock::new(|| Finder::new(br#""VERIFICATION_ERROR_REVOKED""#));
static SAYS_NOT_FOUND: LazyLock<Finder<'static>> =
    LazyLock::new(|| Finder::new(br#""VERIFICATION_ERROR_NOT_FOUND""#));

impl Request<'_> {
    /// Whether `body` says of this credential what is true: the verdict, the right key when valid, the right error when
    /// not.
    #[must_use]
    pub fn answered_rightly_by(&self, body: &[u8]) -> bool {
        // Compact JSON is recognised by its bytes; any other spelling is parsed, which costs more.
        let compact = match self.class {
            Class::Valid => {
                SAYS_VALID.find(body).is_some()
                    && self
                        .key_id
                        .is_none_or(|id| memchr::memmem::find(body, id.as_bytes()).is_some())
            }
            Class::Revoked => {
                SAYS_INVALID.find(body).is_some() && SAYS_REVOKED.find(body).is_some()
            }
            Class::Unknown => {
                SAYS_INVALID.find(body).is_some() && SAYS_NOT_FOUND.find(body).is_some()
            }
        };
        compact || self.says_so_in_json(body)
    }

    #[cold]
    fn says_so_in_json(&self, body: &[u8]) -> bool {
        let Ok(body) = serde_json::from_slice::<serde_json::Value>(body) else {
            return false;
        };
        let field = |name: &str| body.get(name).unwrap_or(&serde_json::Value::Null);
        match self.class {
            Class::Valid => {
                *field("is_valid") == true && self.key_id.is_none_or(|id| *field("key_id") == id)
            }
            Class::Revoked => {
                *field("is_valid") == false && *field("error_code") == "VERIFICATION_ERROR_REVOKED"
            }
            Class::Unknown => {
                *field("is_valid") == false
                    && *field("error_code") == "VERIFICATION_ERROR_NOT_FOUND"
            }
        }
    }
}

/// `SplitMix64` (Steele, Lea, Flood 2014): small, fast, repeatable; not for secrets.
#[derive(Clone, Debug)]
pub struct Random {
    state: u64,
}

impl Random {
    /// The sequence of `seed` for the stream numbered `stream`, so that threads and connections differ.
    #[must_use]
    pub fn new(seed: u64, stream: u64) -> Self {
        let mut random = Self {
            state: seed ^ stream.wrapping_mul(0xD1B5_4A32_D192_ED03),
        };
        random.next();
        random
    }

    /// 64 random bits.
    pub fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`, or 0 when `bound` is 0. The bias is below `bound` / 2^32.
    pub fn below(&mut self, bound: u32) -> u32 {
        let product = (self.next() >> 32) * u64::from(bound);
        u32::try_from(product >> 32).unwrap_or(0)
    }

    /// A number in (0, 1].
    pub fn unit(&mut self) -> f64 {
        ((self.next() >> 11) + 1) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_read_as_written() {
        let shares: Shares = "valid=80,revoked=10,unknown=10".parse().unwrap();
        assert_eq!(
            shares,
            Shares {
                valid: 80,
                revoked: 10,
                unknown: 10
            }
        );
        assert_eq!(
            "revoked=1".parse::<Shares>().unwrap().class_at(0),
            Class::Revoked
        );
        for bad in [
            "",
            "valid",
            "valid=-1",
            "valid=0",
            "good=1",
            "valid=1,",
            "valid=1000001",
        ] {
            assert!(bad.parse::<Shares>().is_err(), "{bad}");
        }
    }

    #[test]
    fn requests_follow_the_shares() {
        let mut workload = Workload::default();
        workload.add("h", Class::Valid, "a", Some("id"));
        workload.add("h", Class::Revoked, "b", None);
        workload.add("h", Class::Unknown, "c", None);
        let shares = Shares {
            valid: 80,
            revoked: 10,
            unknown: 10,
        };
        let mut random = Random::new(1, 0);
        let mut counts = PerClass::<u32>::default();
        for _ in 0..100_000 {
            let request = workload.choose(&shares, &mut random).unwrap();
            *counts.get_mut(request.class) += 1;
        }
        assert!(counts.valid.abs_diff(80_000) < 1_000, "{counts:?}");
        assert!(counts.revoked.abs_diff(10_000) < 1_000, "{counts:?}");
        assert!(
            workload
                .choose(&shares, &mut random)
                .unwrap()
                .bytes
                .starts_with(b"POST /v2alpha1/admin/apiKeys:verify")
        );
    }

    #[test]
    fn an_empty_class_gives_no_request() {
        let shares = Shares {
            valid: 1,
            revoked: 0,
            unknown: 0,
        };
        assert!(
            Workload::default()
                .choose(&shares, &mut Random::new(1, 0))
                .is_none()
        );
    }

    #[test]
    fn only_the_right_answer_is_right() {
        let valid = br#"{"is_valid":true,"key_id":"id-1"}"#.as_slice();
        let spaced = br#"{ "is_valid" : true, "key_id" : "id-1" }"#.as_slice();
        let other = br#"{"is_valid":true,"key_id":"id-2"}"#.as_slice();
        let revoked = br#"{"is_valid":false,"error_code":"VERIFICATION_ERROR_REVOKED"}"#.as_slice();
        let spaced_revoked =
            br#"{"is_valid": false, "error_code": "VERIFICATION_ERROR_REVOKED"}"#.as_slice();
        let unknown =
            br#"{"is_valid":false,"error_code":"VERIFICATION_ERROR_NOT_FOUND"}"#.as_slice();
        let right: [(Class, &[&[u8]]); 3] = [
            (Class::Valid, &[valid, spaced]),
            (Class::Revoked, &[revoked, spaced_revoked]),
            (Class::Unknown, &[unknown]),
        ];
        for (class, right) in right {
            let request = Request {
                class,
                bytes: b"",
                key_id: (class == Class::Valid).then_some("id-1"),
            };
            for body in [
                valid,
                spaced,
                other,
                revoked,
                spaced_revoked,
                unknown,
                b"",
                b"{}",
            ] {
                assert_eq!(
                    request.answered_rightly_by(body),
                    right.contains(&body),
                    "{class:?} {}",
                    String::from_utf8_lossy(body)
                );
            }
        }
    }

    #[test]
    fn random_numbers_stay_in_their_range() {
        let mut random = Random::new(7, 3);
        assert_eq!(random.below(0), 0);
        assert!((0..1000).all(|_| random.below(3) < 3));
        assert!(
            (0..1000)
                .map(|_| random.unit())
                .all(|unit| unit > 0.0 && unit <= 1.0)
        );
        assert_ne!(Random::new(1, 0).next(), Random::new(1, 1).next());
    }
}
