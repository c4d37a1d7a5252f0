//! Redis over HTTP: an answer of any bytes is a reply or an error, and what was written as JSON reads back as it was.

use acip_core::store::{
    StoreError,
    resp::row,
    rest::{decode, decode_many, encode, encode_many},
};

/// The first byte chooses the status; the rest is a body, and then the words of a command.
pub fn rest(input: &[u8]) {
    let Some((choice, body)) = input.split_first() else { return };
    let status = STATUSES[usize::from(*choice) % STATUSES.len()];
    match decode(status, body) {
        Ok(reply) => {
            assert!(matches!(status, 200 | 400), "{status} is no answer");
            for width in [0, 1, 7] {
                if let Ok(row) = row(reply.clone(), width) {
                    assert_eq!(row.len(), width);
                }
            }
        }
        Err(error) => {
            let said = error.to_string();
            assert!(said.len() < 2000, "an endpoint's words fill the log: {said}");
            if matches!(status, 401 | 403) {
                assert!(matches!(error, StoreError::Server { .. }), "{said}");
            }
        }
    }
    for expected in [0, 2] {
        if let Ok(replies) = decode_many(status, body, expected) {
            assert_eq!(replies.len(), expected);
        }
    }
    let words: Vec<&[u8]> = body.split(|byte| *byte == b',').collect();
    let texts: Result<Vec<&str>, _> = words.iter().map(|word| std::str::from_utf8(word)).collect();
    match (encode(&words), texts) {
        (Ok(json), Ok(texts)) => {
            assert_eq!(serde_json::from_slice::<Vec<String>>(&json).expect("JSON"), texts);
            let many = encode_many(&[&words, &words]).expect("text");
            let read = serde_json::from_slice::<Vec<Vec<String>>>(&many).expect("JSON");
            assert!(read.len() == 2 && read.iter().all(|read| *read == texts));
        }
        (Err(_), Err(_)) => {}
        (encoded, texts) => panic!("{encoded:?} of {texts:?}"),
    }
}

const STATUSES: [u16; 8] = [200, 400, 401, 403, 404, 429, 500, 503];
