//! Transactions and accounts to play with.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use lyceum_protocol::{
    Address, ChainSpec, Checked, Credits, Gas, SecretKey, Seq, Transaction, TxBody, TxClaims,
    check_transaction,
};
use lyceum_vm::Account;

/// A chain on which a fee may be 0.
static SPEC: LazyLock<ChainSpec> = LazyLock::new(ChainSpec::dev);

pub(crate) type Accounts = BTreeMap<Address, Account>;

pub(crate) fn key(sender: u8) -> SecretKey {
    SecretKey::from_seed(&[sender + 1; 32])
}

pub(crate) fn address(sender: u8) -> Address {
    Address::from_bytes(key(sender).public())
}

pub(crate) fn account(balance: u64, seq: u64) -> Account {
    Account {
        balance: Credits::new(balance).unwrap(),
        seq: Seq::new(seq).unwrap(),
    }
}

/// What a transaction is made of; `padding` makes it longer, and another.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Recipe {
    pub(crate) sender: u8,
    pub(crate) seq: u64,
    pub(crate) fee: u64,
    pub(crate) gas: u64,
    pub(crate) padding: usize,
}

impl Recipe {
    pub(crate) fn new(sender: u8, seq: u64, fee: u64, gas: u64) -> Self {
        let padding = 0;
        Self {
            sender,
            seq,
            fee,
            gas,
            padding,
        }
    }

    pub(crate) fn padded(self, padding: usize) -> Self {
        Self { padding, ..self }
    }

    pub(crate) fn make(self) -> Checked<Transaction> {
        let padding = "x".repeat(self.padding);
        let body = format!(r#"{{"contract":{{"type":"t","action":"a","p":"{padding}"}}}}"#);
        let claims = TxClaims {
            sender: address(self.sender),
            seq: Seq::new(self.seq).unwrap(),
            gas: Gas::new(self.gas).unwrap(),
            fee: Credits::new(self.fee).unwrap(),
            body: TxBody::parse(&body).unwrap(),
        };
        let transaction = claims.sign(&key(self.sender), &SPEC).unwrap();
        check_transaction(transaction.token(), &SPEC).unwrap()
    }
}
