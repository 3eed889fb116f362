//! Who signs, and what of theirs is pending. It has no clock: times are durations since some start, the same for all calls.

use std::collections::VecDeque;
use std::time::Duration;

use lyceum_protocol::{ChainSpec, Credits, Gas, Seq, TxBody, TxClaims};

use super::calls::Call;
use crate::wallets::Person;

/// Gas for any of the calls.
const GAS: u64 = 1_000_000;
/// The most pending transactions of a sender; nodes hold 64.
const PENDING_MAX: usize = 32;
/// Fees are 1 to this, in turn.
const FEE_MAX: u64 = 9;

/// The senders of a load, by number.
pub struct Accounts {
    spec: ChainSpec,
    all: Vec<Account>,
}

/// A person, and what of theirs is pending.
struct Account {
    person: Person,
    next: u64,
    pending: VecDeque<Pending>,
}

struct Pending {
    seq: u64,
    token: String,
    since: Duration,
}

impl Accounts {
    /// Takes people whose first transactions these are.
    pub fn new(spec: ChainSpec, people: Vec<Person>) -> Self {
        let all = people.into_iter().map(|person| Account {
            person,
            next: 0,
            pending: VecDeque::new(),
        });
        let all = all.collect();
        Self { spec, all }
    }

    /// Who a sender is.
    pub fn person(&self, sender: usize) -> &Person {
        &self.all[sender].person
    }

    /// May a sender send one more?
    pub fn has_room(&self, sender: usize) -> bool {
        self.all[sender].pending.len() < PENDING_MAX
    }

    /// The senders of whom something is pending.
    pub fn waiting(&self) -> Vec<usize> {
        let numbers = 0..self.all.len();
        numbers
            .filter(|sender| !self.all[*sender].pending.is_empty())
            .collect()
    }

    /// Signs a call under its sender's next `seq`; `turn` sets the fee.
    ///
    /// # Errors
    /// Where its body is none.
    pub fn sign(&self, call: &Call, turn: usize) -> anyhow::Result<String> {
        let account = &self.all[call.sender];
        let claims = TxClaims {
            sender: account.person.address,
            seq: Seq::new(account.next)?,
            gas: Gas::new(GAS)?,
            fee: Credits::new(1 + turn as u64 % FEE_MAX)?,
            body: TxBody::parse(&call.body.to_string())?,
        };
        let signed = claims.sign(&account.person.key, &self.spec)?;
        Ok(signed.token().to_owned())
    }

    /// A node took what was signed last for a sender.
    pub fn taken(&mut self, sender: usize, token: String, now: Duration) {
        let account = &mut self.all[sender];
        let seq = account.next;
        account.next += 1;
        let since = now;
        account.pending.push_back(Pending { seq, token, since });
    }

    /// A node refused it, and the ledger says what `seq` is next: perhaps it was there already.
    pub fn refused(&mut self, sender: usize, seq: u64) {
        let account = &mut self.all[sender];
        account.next = account.next.max(seq);
    }

    /// Forgets what is in the chain, where `seq` is next; gives what got lost, to be handed in again: a reorganisation or a full mempool may
    /// drop a transaction, and all that follow it wait for it.
    pub fn settle(
        &mut self,
        sender: usize,
        seq: u64,
        (now, lost_after): (Duration, Duration),
    ) -> Option<&str> {
        let pending = &mut self.all[sender].pending;
        let before = pending.len();
        pending.retain(|one| one.seq >= seq);
        let is_new = pending.len() < before;
        let first = pending.front_mut()?;
        if is_new {
            first.since = now;
        }
        if now.saturating_sub(first.since) < lost_after {
            return None;
        }
        first.since = now;
        Some(&first.token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::calls::{Calls, tests::people};

    #[test]
    fn what_the_chain_has_is_forgotten_and_what_it_lacks_comes_again() {
        let people = people();
        let call = Calls::new(7, &people).draw();
        let (sender, second) = (call.sender, Duration::from_secs(1));
        let mut accounts = Accounts::new(ChainSpec::dev(), people);
        let mut tokens = Vec::new();
        while accounts.has_room(sender) {
            let token = accounts.sign(&call, tokens.len()).unwrap();
            accounts.taken(sender, token.clone(), Duration::ZERO);
            tokens.push(token);
        }
        assert_eq!(
            (tokens.len(), accounts.waiting()),
            (PENDING_MAX, vec![sender])
        );
        let mut settle = |seq, now: u32| {
            let lost = accounts.settle(sender, seq, (second * now, second * 8));
            lost.map(str::to_owned)
        };
        assert_eq!(settle(0, 7), None);
        assert_eq!(settle(0, 8).as_ref(), Some(&tokens[0]));
        assert_eq!(settle(0, 15), None);
        // The next is not lost yet: it has waited for those before it.
        assert_eq!(settle(5, 16), None);
        assert_eq!(settle(5, 24).as_ref(), Some(&tokens[5]));
        assert_eq!(settle(PENDING_MAX as u64, 99), None);
        assert!(accounts.waiting().is_empty() && accounts.has_room(sender));
    }
}
