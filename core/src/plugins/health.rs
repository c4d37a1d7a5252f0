//! The gateway's own pages.

use crate::{
    report::{Report, Status},
    verdict::Reply,
};

/// Renders a page.
pub(crate) fn render(_report: Report, _status: &Status) -> Reply {
    unimplemented!()
}
