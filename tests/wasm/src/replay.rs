//! The replayer behind four exported functions. The host writes a line into [`buffer`] and calls [`line`]; after the last one,
//! [`digest`] says where the digest stands.

use std::cell::RefCell;

use acip_core::trace::{ReplayError, Replayer};

thread_local! {
    static LINE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static REPLAYER: RefCell<Replayer> = RefCell::default();
}

/// Where the host may write so many bytes.
#[unsafe(no_mangle)]
pub extern "C" fn buffer(length: usize) -> *mut u8 {
    LINE.with_borrow_mut(|line| {
        line.clear();
        line.resize(length, 0);
        line.as_mut_ptr()
    })
}

/// Decides what stands in the buffer: 0 done, 1 decided otherwise than recorded, 2 no line that can be replayed.
#[unsafe(no_mangle)]
pub extern "C" fn line() -> u32 {
    let bytes = LINE.with_borrow_mut(std::mem::take);
    let Ok(text) = String::from_utf8(bytes) else { return 2 };
    match REPLAYER.with_borrow_mut(|replayer| replayer.line(&text)) {
        Ok(_) => 0,
        Err(ReplayError::Differs { .. }) => 1,
        Err(_) => 2,
    }
}

/// How many requests were decided.
#[unsafe(no_mangle)]
pub extern "C" fn requests() -> u64 {
    REPLAYER.with_borrow(Replayer::requests)
}

/// Where the 64 hexadecimal digits of the digest stand; until the next call of [`buffer`].
#[unsafe(no_mangle)]
pub extern "C" fn digest() -> *const u8 {
    let digest = REPLAYER.with_borrow(Replayer::digest);
    LINE.with_borrow_mut(|line| {
        *line = digest.into_bytes();
        line.as_ptr()
    })
}
