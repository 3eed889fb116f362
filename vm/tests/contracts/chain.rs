//! A chain of one executor and one world in memory, for tests.

use lyceum_protocol::{Address, Gas, Height, SecretKey, Timestamp, TxBody};
use lyceum_vm::{CallContext, Executor, MemoryWorld, Receipt, World, definition_path};
use serde_json::{Value, json};

pub const GAS: u64 = 50_000_000;

pub struct Chain {
    pub executor: Executor,
    pub world: MemoryWorld,
    pub caller: Address,
    pub height: u64,
    pub gas: u64,
}

pub fn wallet(seed: u8) -> Address {
    Address::from_bytes(SecretKey::from_seed(&[seed; 32]).public())
}

impl Chain {
    /// A chain that is open, with these contracts installed as built-ins.
    pub fn of(definitions: &[Value]) -> Self {
        let names = definitions.iter().map(|d| d["contract"].as_str().unwrap().to_owned());
        let mut world = MemoryWorld::new();
        for definition in definitions {
            let path = definition_path(definition["contract"].as_str().unwrap());
            world.store(&path, definition.clone()).unwrap();
        }
        Self { executor: Executor::new(true, names.collect()), world, caller: wallet(1), height: 7, gas: GAS }
    }

    pub fn execute(&mut self, body: &TxBody) -> Receipt {
        let context = CallContext {
            caller: self.caller,
            height: Height::new(self.height).unwrap(),
            timestamp: Timestamp::new(1_800_000_000_000).unwrap(),
        };
        self.executor.execute(&mut self.world, &context, body, Gas::new(self.gas).unwrap()).unwrap()
    }

    pub fn actions(&mut self, actions: &Value) -> Receipt {
        self.execute(&TxBody::Actions(actions.to_string()))
    }

    /// Calls one action that must succeed.
    pub fn ok(&mut self, action: Value) -> Receipt {
        let receipt = self.actions(&json!([action]));
        assert_eq!(receipt.error(), None, "{action}");
        receipt
    }

    /// Calls one action that must fail, and must leave the world alone. Returns why.
    pub fn fails(&mut self, action: Value) -> String {
        let before = self.world.clone();
        let receipt = self.actions(&json!([action]));
        assert_eq!(self.world, before, "a failed call has no effect");
        receipt.error().unwrap_or_else(|| panic!("{action} succeeds"))
    }

    pub fn record(&self, path: &str) -> Value {
        self.world.load(path).unwrap().unwrap_or_default()
    }
}
