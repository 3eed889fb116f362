//! A chain of one executor and one world in memory, for tests.

use lyceum_protocol::{Address, ChainSpec, Gas, Height, SecretKey, Timestamp, TxBody};
use lyceum_vm::{CallContext, Executor, MemoryWorld, Receipt, World, definition_path, genesis};
use proptest::prelude::ProptestConfig;
use serde_json::{Value, json};

pub(crate) const GAS: u64 = 50_000_000;

pub(crate) struct Chain {
    pub(crate) executor: Executor,
    pub(crate) world: MemoryWorld,
    pub(crate) caller: Address,
    pub(crate) height: u64,
    pub(crate) gas: u64,
}

/// Random cases of a property: `usual`, or as many as the variable LYCEUM_CASES says.
pub(crate) fn cases(usual: u32) -> ProptestConfig {
    let asked = std::env::var("LYCEUM_CASES")
        .ok()
        .and_then(|text| text.parse().ok());
    ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(asked.unwrap_or(usual))
    }
}

pub(crate) fn wallet(seed: u8) -> Address {
    Address::from_bytes(SecretKey::from_seed(&[seed; 32]).public())
}

impl Chain {
    /// A chain that is open, with these contracts installed as built-ins.
    pub(crate) fn of(definitions: &[Value]) -> Self {
        let names = definitions
            .iter()
            .map(|d| d["contract"].as_str().unwrap().to_owned());
        let mut world = MemoryWorld::new();
        for definition in definitions {
            let path = definition_path(definition["contract"].as_str().unwrap());
            world.store(&path, definition.clone()).unwrap();
        }
        Self {
            executor: Executor::new(true, names.collect()),
            world,
            caller: wallet(1),
            height: 7,
            gas: GAS,
        }
    }

    /// The chain of that file after genesis, with these admins.
    pub(crate) fn embedded(name: &str, admins: &[Address]) -> Self {
        let mut fields = (*ChainSpec::embedded(name).unwrap()).clone();
        fields.admins = admins.to_vec();
        let spec = ChainSpec::new(fields).unwrap();
        let mut world = MemoryWorld::new();
        genesis(&spec, &mut world).unwrap();
        Self {
            executor: Executor::for_chain(&spec),
            world,
            caller: wallet(1),
            height: 7,
            gas: GAS,
        }
    }

    /// The same chain with another caller.
    pub(crate) fn by(&mut self, seed: u8) -> &mut Self {
        self.caller = wallet(seed);
        self
    }

    pub(crate) fn execute(&mut self, body: &TxBody) -> Receipt {
        let caller = self.caller.to_string();
        let context = CallContext {
            caller: &caller,
            height: Height::new(self.height).unwrap(),
            timestamp: Timestamp::new(1_800_000_000_000).unwrap(),
        };
        self.executor
            .execute(&mut self.world, &context, body, Gas::new(self.gas).unwrap())
            .unwrap()
    }

    pub(crate) fn actions(&mut self, actions: &Value) -> Receipt {
        self.execute(&TxBody::Actions(actions.to_string()))
    }

    /// Calls one action that must succeed.
    pub(crate) fn ok(&mut self, action: Value) -> Receipt {
        let receipt = self.actions(&json!([action]));
        assert_eq!(receipt.error(), None, "{action}");
        receipt
    }

    /// Calls one action that must fail, and must leave the world alone. Returns why.
    pub(crate) fn fails(&mut self, action: Value) -> String {
        let before = self.world.clone();
        let receipt = self.actions(&json!([action]));
        assert_eq!(self.world, before, "a failed call has no effect");
        receipt
            .error()
            .unwrap_or_else(|| panic!("{action} succeeds"))
    }

    pub(crate) fn record(&self, path: &str) -> Value {
        self.world.load(path).unwrap().unwrap_or_default()
    }
}
