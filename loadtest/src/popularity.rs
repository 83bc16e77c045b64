//! How often each key is requested: all equally, or a few of them most of the time.
//!
//! Zipf's law gives the key of rank k a weight of k^-s. The sampler is rejection-inversion (Hörmann
//! and Derflinger, "Rejection-inversion to generate variates from monotone discrete distributions",
//! 1996): it needs no table, so ten million keys cost as much as ten, and it rejects few proposals.

use std::fmt;
use std::str::FromStr;

use crate::random::Random;

/// Which keys are requested most.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Popularity {
    /// All equally.
    #[default]
    Uniform,
    /// By Zipf's law with this exponent, above 0.
    Zipf(f64),
}

impl FromStr for Popularity {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const FORM: &str = "expected uniform, zipf (exponent 1), or zipf=EXPONENT with an exponent from 0.01 to 10, for example zipf=1.1";
        match text.split_once('=') {
            None if text == "uniform" => Ok(Self::Uniform),
            None if text == "zipf" => Ok(Self::Zipf(1.0)),
            Some(("zipf", exponent)) => exponent
                .parse()
                .ok()
                .filter(|exponent| (0.01..=10.0).contains(exponent))
                .map(Self::Zipf)
                .ok_or_else(|| FORM.to_owned()),
            _ => Err(FORM.to_owned()),
        }
    }
}

impl fmt::Display for Popularity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uniform => f.write_str("uniform"),
            Self::Zipf(exponent) => write!(f, "zipf={exponent}"),
        }
    }
}

/// Draws numbers below a bound.
#[derive(Clone, Debug)]
pub enum Sampler {
    /// All equally.
    Uniform(u32),
    /// By Zipf's law: 0 is the most frequent.
    Zipf(Zipf),
}

impl Sampler {
    /// Draws numbers below `count`.
    #[must_use]
    pub fn new(popularity: Popularity, count: u32) -> Self {
        match popularity {
            Popularity::Zipf(exponent) if count > 1 => Self::Zipf(Zipf::new(count, exponent)),
            _ => Self::Uniform(count),
        }
    }

    /// The next number; 0 if the bound is 0.
    pub fn draw(&self, random: &mut Random) -> u32 {
        match self {
            Self::Uniform(count) => random.below(*count),
            Self::Zipf(zipf) => zipf.draw(random),
        }
    }
}

/// Numbers from 0 on with weights (number + 1)^-exponent.
#[derive(Clone, Debug)]
pub struct Zipf {
    count: u32,
    exponent: f64,
    /// The integral of the weights at the left end of the first rank, less that rank's whole
    /// weight.
    low: f64,
    /// The integral at the right end of the last rank.
    high: f64,
    /// Proposals at most this far below their rank are accepted without computing weights.
    surely: f64,
}

impl Zipf {
    fn new(count: u32, exponent: f64) -> Self {
        let mut zipf = Self {
            count,
            exponent,
            low: 0.0,
            high: 0.0,
            surely: 0.0,
        };
        zipf.low = zipf.integral(1.5) - 1.0;
        zipf.high = zipf.integral(f64::from(count) + 0.5);
        zipf.surely = 2.0 - zipf.integral_inverse(zipf.integral(2.5) - zipf.weight(2.0));
        zipf
    }

    fn weight(&self, rank: f64) -> f64 {
        (-self.exponent * rank.ln()).exp()
    }

    /// (x^(1-s) - 1) / (1 - s), or ln x if s is 1.
    fn integral(&self, x: f64) -> f64 {
        let log = x.ln();
        let power = (1.0 - self.exponent) * log;
        if power.abs() < 1e-8 {
            log * (1.0 + power / 2.0)
        } else {
            power.exp_m1() / (1.0 - self.exponent)
        }
    }

    fn integral_inverse(&self, y: f64) -> f64 {
        let power = y * (1.0 - self.exponent);
        if power.abs() < 1e-8 {
            (y * (1.0 - power / 2.0)).exp()
        } else {
            (power.max(-1.0).ln_1p() / (1.0 - self.exponent)).exp()
        }
    }

    fn draw(&self, random: &mut Random) -> u32 {
        loop {
            let under_the_curve = self.high + random.unit() * (self.low - self.high);
            let x = self.integral_inverse(under_the_curve);
            let rank = x.round().clamp(1.0, f64::from(self.count));
            if rank - x <= self.surely
                || under_the_curve >= self.integral(rank + 0.5) - self.weight(rank)
            {
                return whole(rank).saturating_sub(1).min(self.count - 1);
            }
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rank lies between 1 and a u32"
)]
fn whole(rank: f64) -> u32 {
    rank as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pearson's chi-squared of many draws against the exact weights, as a multiple of its standard
    /// deviation away from its mean.
    fn deviation(exponent: f64, count: u32) -> f64 {
        const DRAWS: u32 = 400_000;
        let sampler = Sampler::new(Popularity::Zipf(exponent), count);
        let mut random = Random::new(11, u64::from(count));
        let mut seen = vec![0_u32; count as usize];
        for _ in 0..DRAWS {
            seen[sampler.draw(&mut random) as usize] += 1;
        }
        let weights: Vec<f64> = (1..=count)
            .map(|rank| f64::from(rank).powf(-exponent))
            .collect();
        let total: f64 = weights.iter().sum();
        let chi: f64 = seen
            .iter()
            .zip(&weights)
            .map(|(seen, weight)| {
                let expected = weight / total * f64::from(DRAWS);
                (f64::from(*seen) - expected).powi(2) / expected
            })
            .sum();
        let freedom = f64::from(count - 1);
        (chi - freedom) / (2.0 * freedom).sqrt()
    }

    #[test]
    fn draws_follow_the_exact_distribution() {
        for exponent in [0.3, 0.8, 1.0, 1.2, 2.0] {
            for count in [2, 7, 100] {
                let deviation = deviation(exponent, count);
                assert!(
                    deviation < 5.0,
                    "s = {exponent}, n = {count}: {deviation:.1}"
                );
            }
        }
    }

    #[test]
    fn ten_million_ranks_need_no_table_and_all_are_in_range() {
        let count = 10_000_000;
        for exponent in [0.01, 0.99, 1.0, 1.5, 10.0] {
            let sampler = Sampler::new(Popularity::Zipf(exponent), count);
            let mut random = Random::new(1, 0);
            assert!((0..100_000).all(|_| sampler.draw(&mut random) < count));
        }
        // H(10^7) of exponent 1 is 16.695, so that rank 1 gets 5.99 %.
        let sampler = Sampler::new(Popularity::Zipf(1.0), count);
        let mut random = Random::new(1, 0);
        let first = (0..200_000)
            .filter(|_| sampler.draw(&mut random) == 0)
            .count();
        assert!(first.abs_diff(11_980) < 500, "{first}");
    }

    #[test]
    fn popularity_is_read_as_written() {
        for (text, popularity) in [
            ("uniform", Popularity::Uniform),
            ("zipf", Popularity::Zipf(1.0)),
            ("zipf=0.9", Popularity::Zipf(0.9)),
        ] {
            assert_eq!(text.parse(), Ok(popularity));
        }
        for bad in [
            "",
            "zipf=",
            "zipf=0",
            "zipf=-1",
            "zipf=NaN",
            "pareto",
            "uniform=1",
        ] {
            assert!(bad.parse::<Popularity>().unwrap_err().contains("zipf=1.1"));
        }
    }
}
