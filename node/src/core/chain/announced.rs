//! A block's token before its transactions are here.

use lyceum_protocol::{
    BlockError, Header, Timestamp, check_link, check_segment, check_time, check_work, verify_strict,
};

use super::context::parent_context;
use super::{Chain, ChainError};

impl Chain {
    /// Checks a block's token by all that can be asked of it without the transactions: rules 1 to 4, and 5 but for `tx_root`.
    ///
    /// # Errors
    /// [`ChainError::Block`] is a verdict on the token; [`ChainError::Store`] is not.
    pub fn check_announced(&self, token: &str, now: Timestamp) -> Result<Header, ChainError> {
        let header = Header::decode(token, &self.spec).map_err(BlockError::from)?;
        check_work(&header, &self.spec)?;
        let view = self.store.read();
        let parent = parent_context(&view, &self.spec, header.claims().parent)?;
        check_link(&header, parent.as_ref())?;
        let parent = parent.ok_or(BlockError::UnknownParent(header.claims().parent))?;
        check_time(header.claims(), &parent, now)?;
        let message = header.signed_message();
        verify_strict(message.key, message.message, message.signature).map_err(BlockError::from)?;
        check_segment(header.claims(), &parent)?;
        Ok(header)
    }
}
