//! Does what the last segment of the path says; `decide` refuses the tenant `alice`.

wit_bindgen::generate!({ path: "../../wit", world: "plugin" });

use acip::plugin::types::{Edits, Field, Refusal};

struct Obedient;

impl Guest for Obedient {
    fn plan(request: Request) -> Outcome {
        match request.path.rsplit('/').next().unwrap_or_default() {
            "refuse" => refuse(404),
            "odd-status" => refuse(418),
            "edit" => edit("x-tier"),
            "edit-via" => edit("via"),
            "lines" => lines(),
            "wait" => Outcome::Wait,
            "seen" => {
                let hidden = ["x-api-key", "authorization", "cookie"];
                let leaks = request.headers.iter().any(|field| hidden.contains(&field.name.as_str()));
                let told = request.method == "GET"
                    && request.query.as_deref() == Some("a=1")
                    && request.route == "other"
                    && request.client_ip == "127.0.0.1"
                    && request.client_region.is_none()
                    && request.time_ms == 1_700_000_000_000
                    && request.headers.iter().any(|field| field.name == "host" && field.value == "a");
                if told && !leaks { refuse(429) } else { Outcome::Pass }
            }
            "trap" => unreachable!(),
            "loop" => loop {
                std::hint::black_box(());
            },
            "memory" => {
                let mut all: Vec<Vec<u8>> = Vec::new();
                loop {
                    all.push(std::hint::black_box(vec![1; 1 << 20]));
                }
            }
            "outside" => {
                println!("hello");
                Outcome::Pass
            }
            _ => Outcome::Pass,
        }
    }

    fn decide(_request: Request, identity: Option<Identity>) -> Outcome {
        match identity {
            Some(identity) if identity.tenant == "alice" && identity.kind == "api-key" => refuse(403),
            _ => Outcome::Pass,
        }
    }
}

fn refuse(status: u16) -> Outcome {
    Outcome::Refuse(Refusal { status, message: "as asked".into() })
}

fn field(name: &str, value: &str) -> Field {
    Field { name: name.into(), value: value.into() }
}

/// Two lines of one name, and members of a list.
fn lines() -> Outcome {
    Outcome::Edit(Edits {
        set_request_headers: vec![field("x-tier", "gold")],
        remove_request_headers: vec![],
        set_response_headers: vec![
            field("link", "<a>; rel=prev"),
            field("link", "<b>; rel=next"),
            field("x-seen", "component"),
            field("vary", "X-Tier, accept"),
        ],
        remove_response_headers: vec![],
        skip_cache: false,
    })
}

fn edit(name: &str) -> Outcome {
    Outcome::Edit(Edits {
        set_request_headers: vec![field(name, "gold")],
        remove_request_headers: vec!["x-debug".into()],
        set_response_headers: vec![field("x-seen", "component")],
        remove_response_headers: vec!["server".into()],
        skip_cache: true,
    })
}

export!(Obedient);
