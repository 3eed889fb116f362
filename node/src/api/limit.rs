//! How much one client may ask.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Clients whose requests are counted apart; those beyond share one allowance. Each takes some 60 bytes.
const CLIENTS_MAX: usize = 4_096;

/// Requests that one client may make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// In the long run, requests a second.
    pub per_second: u32,
    /// At once, after a pause.
    pub burst: u32,
}

impl Default for RateLimit {
    /// A page that follows the chain makes a few requests a second, a script some hundred; a disk does thousands.
    fn default() -> Self {
        Self {
            per_second: 200,
            burst: 1_000,
        }
    }
}

/// A client's allowance.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    left: f64,
    at: Instant,
}

impl Bucket {
    fn refilled(self, limit: RateLimit, now: Instant) -> f64 {
        let since = now.saturating_duration_since(self.at).as_secs_f64();
        (self.left + since * f64::from(limit.per_second)).min(f64::from(limit.burst))
    }
}

/// Counts requests by client: a token bucket each.
#[derive(Debug)]
pub(super) struct Limiter {
    limit: RateLimit,
    buckets: Mutex<Buckets>,
}

#[derive(Debug)]
struct Buckets {
    clients: HashMap<IpAddr, Bucket>,
    others: Bucket,
}

impl Limiter {
    pub(super) fn new(limit: RateLimit, now: Instant) -> Self {
        let others = Bucket {
            left: f64::from(limit.burst),
            at: now,
        };
        let clients = HashMap::new();
        let buckets = Mutex::new(Buckets { clients, others });
        Self { limit, buckets }
    }

    /// May `client` make one request more? If not, how long until it may.
    pub(super) fn take(&self, client: IpAddr, now: Instant) -> Result<(), Duration> {
        let limit = self.limit;
        // A bucket is valid at any moment, so that a poisoned lock hides nothing.
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let Buckets { clients, others } = &mut *buckets;
        let client = network_of(client);
        if clients.len() >= CLIENTS_MAX && !clients.contains_key(&client) {
            let full = f64::from(limit.burst);
            clients.retain(|_, bucket| bucket.refilled(limit, now) < full);
        }
        let bucket = if clients.len() >= CLIENTS_MAX && !clients.contains_key(&client) {
            others
        } else {
            clients.entry(client).or_insert(Bucket {
                left: f64::from(limit.burst),
                at: now,
            })
        };
        *bucket = Bucket {
            left: bucket.refilled(limit, now),
            at: now,
        };
        if bucket.left < 1.0 {
            let missing = (1.0 - bucket.left) / f64::from(limit.per_second.max(1));
            return Err(Duration::from_secs_f64(missing));
        }
        bucket.left -= 1.0;
        Ok(())
    }
}

/// One IPv4 address, or one IPv6 network of 64 bits: what one customer has.
pub(super) fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let network = u128::from(address) & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from(network))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: RateLimit = RateLimit {
        per_second: 2,
        burst: 3,
    };

    fn client(i: u32) -> IpAddr {
        IpAddr::V4(std::net::Ipv4Addr::from(i))
    }

    #[test]
    fn a_client_has_its_burst_and_then_its_rate() {
        let start = Instant::now();
        let limiter = Limiter::new(LIMIT, start);
        for _ in 0..3 {
            assert_eq!(limiter.take(client(1), start), Ok(()));
        }
        let wait = limiter.take(client(1), start).unwrap_err();
        assert_eq!(wait, Duration::from_millis(500));
        assert_eq!(limiter.take(client(2), start), Ok(()), "another client");
        assert_eq!(limiter.take(client(1), start + wait), Ok(()));
        assert!(limiter.take(client(1), start + wait).is_err());
        let later = start + Duration::from_secs(3_600);
        for _ in 0..3 {
            assert_eq!(limiter.take(client(1), later), Ok(()));
        }
        assert!(
            limiter.take(client(1), later).is_err(),
            "no more than the burst"
        );
    }

    #[test]
    fn clients_beyond_the_bound_share_one_allowance_until_others_are_forgotten() {
        let start = Instant::now();
        let limiter = Limiter::new(LIMIT, start);
        for i in 0..CLIENTS_MAX as u32 {
            assert_eq!(limiter.take(client(i), start), Ok(()));
        }
        let taken = (0..10).filter(|i| limiter.take(client(1 << 20 | i), start).is_ok());
        assert_eq!(taken.count(), 3, "one burst for all of them");
        assert_eq!(limiter.buckets.lock().unwrap().clients.len(), CLIENTS_MAX);
        let later = start + Duration::from_secs(60);
        assert_eq!(limiter.take(client(1 << 20), later), Ok(()));
        assert_eq!(limiter.buckets.lock().unwrap().clients.len(), 1);
    }

    #[test]
    fn an_ipv6_customer_is_one_client() {
        let network = |text: &str| network_of(text.parse().unwrap());
        assert_eq!(network("2001:db8::1"), network("2001:db8::ffff:2"));
        assert_ne!(network("2001:db8::1"), network("2001:db8:0:1::1"));
        assert_eq!(network("::ffff:10.0.0.1"), network("10.0.0.1"));
    }
}
