//! What lies below `/api/v1/beta/` is there only for requests that ask for it, and for the tenant `acme` in any case.

wit_bindgen::generate!({ path: "../../targets/components/wit", world: "plugin" });

use acip::plugin::types::{Edits, Field, Refusal};

struct Beta;

impl Guest for Beta {
    fn plan(request: Request) -> Outcome {
        if !request.path.starts_with("/api/v1/beta/") {
            return Outcome::Pass;
        }
        if !request.headers.iter().any(|field| field.name == "x-beta") {
            return Outcome::Wait; // to be asked again once it is known who asks
        }
        Outcome::Edit(Edits {
            set_request_headers: vec![],
            remove_request_headers: vec![],
            set_response_headers: vec![Field { name: "x-beta".into(), value: "yes".into() }],
            remove_response_headers: vec![],
            skip_cache: false,
        })
    }

    fn decide(_request: Request, identity: Option<Identity>) -> Outcome {
        match identity {
            Some(identity) if identity.tenant == "acme" => Outcome::Pass,
            _ => Outcome::Refuse(Refusal { status: 404, message: "no such page".into() }),
        }
    }
}

export!(Beta);
