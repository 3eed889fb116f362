use std::fmt::Write as _;

use lyceum_protocol::json;
use lyceum_vm::Receipt;

/// Room for most receipts.
const RECEIPT_BYTES_USUAL: usize = 192;

/// A receipt as it is stored and shown: a JSON object.
pub(super) fn encode_receipt(receipt: &Receipt) -> Vec<u8> {
    let mut out = String::with_capacity(RECEIPT_BYTES_USUAL);
    out.push_str("{\"error\":");
    match receipt.error() {
        Some(error) => json::write_text(&error, &mut out),
        None => out.push_str("null"),
    }
    out.push_str(",\"events\":[");
    for (i, event) in receipt.events.iter().enumerate() {
        out.push_str(if i > 0 { ",{\"data\":" } else { "{\"data\":" });
        out.push_str(&event.text);
        out.push_str(",\"event\":");
        json::write_text(&event.event, &mut out);
        out.push('}');
    }
    let (gas, ok, steps) = (receipt.gas, receipt.ok(), receipt.steps);
    write!(out, "],\"gas\":{gas},\"ok\":{ok},\"steps\":{steps}}}").expect("a string takes all");
    out.into_bytes()
}
