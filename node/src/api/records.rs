//! The state: accounts, contracts, records and their proofs.

use axum::Json;
use axum::extract::{Path, Query};
use lyceum_protocol::{Address, Seq};
use lyceum_storage::{LedgerView, StateProof};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};

use super::context::{Api, raw};
use super::paging::{Page, Paging};
use super::problem::{Problem, Refusals};
use super::transactions::hex;
use crate::handle::NodeCommand;

/// The longest path of a record that is looked up, in bytes; longer ones can't be in the state.
const PATH_BYTES_MAX: usize = 4_096;
const DEFINITIONS: &str = "contracts/definition/";

/// A wallet's account.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Account {
    address: String,
    /// Credits.
    balance: u64,
    /// How many of its transactions are in the chain.
    seq: u64,
    /// The `seq` of its next transaction, after those that are pending.
    next_seq: u64,
    /// The name in its registered wallet.
    user_id: Option<String>,
    /// Its role in the `dao` contract.
    role: Option<String>,
}

#[utoipa::path(get, path = "/api/v1/accounts/{did}", tag = "state",
    params(("did" = String, Path, description = "A wallet's address", example = "did:key:z6MktwupdmLXVVqTzCw4i46r4uGyosGXRnR3XjN4Zq7oMMsw")),
    responses((status = 200, body = Account, description = "The account; empty where the ledger does not know it"), Refusals))]
pub(super) async fn account(api: Api, Path(did): Path<String>) -> Result<Json<Account>, Problem> {
    let sender: Address = did
        .parse()
        .map_err(|error| Problem::bad("address", format!("{did:?}: {error}")))?;
    let next = api
        .ask_pending(Seq::ZERO, |reply| NodeCommand::NextSeq { sender, reply })
        .await?;
    let account = api.read(move |view| read_account(view, sender, next.get()));
    Ok(Json(account.await?))
}

fn read_account(view: &LedgerView<'_>, owner: Address, next: u64) -> Result<Account, Problem> {
    let object = |path: String| -> Result<Value, Problem> {
        let record = view.record(&path)?;
        let value = record.and_then(|record| serde_json::from_str(&record).ok());
        Ok(value.unwrap_or_default())
    };
    let credits = object(format!("credits/account/{owner}"))?;
    let wallet = object(format!("identity/wallet/{owner}"))?;
    let member = object(format!("dao/member/{owner}"))?;
    let text = |value: &Value| value.as_str().map(ToOwned::to_owned);
    let seq = credits["seq"].as_u64().unwrap_or(0);
    Ok(Account {
        address: owner.to_string(),
        balance: credits["balance"].as_u64().unwrap_or(0),
        seq,
        next_seq: next.max(seq),
        user_id: text(&wallet["user_id"]),
        role: text(&member["role"]),
    })
}

/// A contract, in short.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ContractName {
    name: String,
    /// Who deployed it; null for those of genesis.
    owner: Option<String>,
    /// The names of its actions.
    actions: Vec<String>,
    /// The names of its records.
    records: Vec<String>,
}

fn names(object: &Value) -> Vec<String> {
    let members = object.as_object().into_iter().flatten();
    members.map(|(name, _)| name.clone()).collect()
}

#[utoipa::path(get, path = "/api/v1/contracts", tag = "state", params(Paging),
    responses((status = 200, body = Page<ContractName>), Refusals))]
pub(super) async fn contracts(
    api: Api,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<ContractName>>, Problem> {
    let limit = paging.limit()?;
    let after = paging.after.map(|name| format!("{DEFINITIONS}{name}"));
    let records = api.read(move |view| {
        let records = view.records(DEFINITIONS, after.as_deref(), limit + 1)?;
        let contracts = records.into_iter().map(|(path, record)| {
            let definition: Value = serde_json::from_str(&record).unwrap_or_default();
            ContractName {
                name: path.trim_start_matches(DEFINITIONS).to_owned(),
                owner: definition["owner"].as_str().map(ToOwned::to_owned),
                actions: names(&definition["actions"]),
                records: names(&definition["records"]),
            }
        });
        Ok(Page::cut(contracts.collect(), limit, |contract| {
            contract.name.clone()
        }))
    });
    Ok(Json(records.await?))
}

/// A contract.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Contract {
    name: String,
    /// Who deployed it; null for those of genesis.
    owner: Option<String>,
    /// The contract itself.
    #[schema(value_type = Object)]
    definition: Map<String, Value>,
}

#[utoipa::path(get, path = "/api/v1/contracts/{name}", tag = "state",
    params(("name" = String, Path, description = "A contract's name", example = "learning")),
    responses((status = 200, body = Contract), Refusals))]
pub(super) async fn contract(
    api: Api,
    Path(name): Path<String>,
) -> Result<Json<Contract>, Problem> {
    let path = checked_path(format!("{DEFINITIONS}{name}"))?;
    let record = api.read(move |view| Ok(view.record(&path)?)).await?;
    let record = record.ok_or_else(|| {
        Problem::unknown("unknown_contract", format!("there is no contract {name:?}"))
    })?;
    // The record is the definition, with its owner added.
    let mut definition: Map<String, Value> = serde_json::from_str(&record).unwrap_or_default();
    let owner = definition.remove("owner");
    Ok(Json(Contract {
        owner: owner.and_then(|owner| owner.as_str().map(ToOwned::to_owned)),
        definition,
        name,
    }))
}

/// A record of the state.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Record {
    /// The last part of its path.
    key: String,
    /// Its fields.
    #[schema(value_type = Object)]
    record: Box<RawValue>,
}

#[utoipa::path(get, path = "/api/v1/state/{contract}/{record}", tag = "state", params(
        ("contract" = String, Path, description = "A contract's name", example = "learning"),
        ("record" = String, Path, description = "A record type of the contract", example = "student"),
        Paging
    ),
    responses((status = 200, body = Page<Record>, description = "Records, in the order of their keys' bytes"), Refusals))]
pub(super) async fn records(
    api: Api,
    Path((contract, record)): Path<(String, String)>,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<Record>>, Problem> {
    let limit = paging.limit()?;
    let prefix = checked_path(format!("{}/{}/", part(&contract)?, part(&record)?))?;
    let after = paging
        .after
        .map(|key| checked_path(format!("{prefix}{key}")));
    let after = after.transpose()?;
    let page = api.read(move |view| {
        let records = view.records(&prefix, after.as_deref(), limit + 1)?;
        let records = records.into_iter().map(|(path, record)| {
            Ok(Record {
                key: path[prefix.len()..].to_owned(),
                record: raw(record)?,
            })
        });
        let records = records.collect::<Result<_, Problem>>()?;
        Ok(Page::cut(records, limit, |record: &Record| {
            record.key.clone()
        }))
    });
    Ok(Json(page.await?))
}

/// What else is wanted of a record.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ProofQuery {
    /// 1 adds the proof against the state root, also where there is no such record.
    #[param(minimum = 0, maximum = 1)]
    proof: Option<u8>,
}

/// A record at a path, or its absence.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RecordAt {
    /// `CONTRACT/RECORD/KEY`.
    path: String,
    /// Its fields; null (with `proof=1` alone) where there is none.
    #[schema(value_type = Option<Object>)]
    record: Option<Box<RawValue>>,
    /// The block whose state it is.
    height: u64,
    block: String,
    state_root: String,
    /// Only with `proof=1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    proof: Option<StatePath>,
}

/// A Jellyfish Merkle proof. The record's canonical JSON is what is hashed (RFC 8785).
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct StatePath {
    /// What stands where the path ends; null where there is nothing.
    leaf: Option<Leaf>,
    /// The hashes beside the path, from the root downwards.
    siblings: Vec<String>,
}

/// A record in the state's tree.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Leaf {
    /// SHA-256 of its path.
    key: String,
    /// SHA-256 of its canonical JSON.
    value_hash: String,
}

#[utoipa::path(get, path = "/api/v1/state/{contract}/{record}/{key}", tag = "state", params(
        ("contract" = String, Path, description = "A contract's name", example = "learning"),
        ("record" = String, Path, description = "A record type of the contract", example = "student"),
        ("key" = String, Path, description = "A record's key; its parts, where it has several, are parted by commas", example = "S001"),
        ProofQuery
    ),
    responses((status = 200, body = RecordAt), Refusals))]
pub(super) async fn record(
    api: Api,
    Path((contract, record, key)): Path<(String, String, String)>,
    Query(query): Query<ProofQuery>,
) -> Result<Json<RecordAt>, Problem> {
    let with_proof = match query.proof {
        None | Some(0) => false,
        Some(1) => true,
        Some(proof) => {
            let detail = format!("proof is {proof}, want 0 or 1");
            return Err(Problem::bad("proof", detail));
        }
    };
    let (contract, record, key) = (part(&contract)?, part(&record)?, part(&key)?);
    let path = checked_path(format!("{contract}/{record}/{key}"))?;
    let at = path.clone();
    let proven: StateProof = api.read(move |view| Ok(view.prove(&at)?)).await?;
    if proven.record.is_none() && !with_proof {
        let detail = format!("there is no record at {path}");
        return Err(Problem::unknown("unknown_record", detail));
    }
    let proof = StatePath {
        leaf: proven.proof.leaf.map(|leaf| Leaf {
            key: hex(&leaf.key),
            value_hash: hex(&leaf.value_hash),
        }),
        siblings: proven.proof.siblings.iter().map(hex).collect(),
    };
    Ok(Json(RecordAt {
        path,
        record: proven.record.map(raw).transpose()?,
        height: proven.tip.height.get(),
        block: proven.tip.hash.to_string(),
        state_root: proven.tip.state_root.to_string(),
        proof: with_proof.then_some(proof),
    }))
}

/// One part of a path.
fn part(text: &str) -> Result<&str, Problem> {
    match text.is_empty() || text.contains('/') {
        true => Err(Problem::bad(
            "path",
            format!("{text:?} is no part of a path"),
        )),
        false => Ok(text),
    }
}

fn checked_path(path: String) -> Result<String, Problem> {
    match path.len() <= PATH_BYTES_MAX {
        true => Ok(path),
        false => Err(Problem::bad(
            "path",
            format!("longer than {PATH_BYTES_MAX} bytes"),
        )),
    }
}
