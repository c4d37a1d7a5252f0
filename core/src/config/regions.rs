//! Regions that everybody knows: names of the old gateway and of the backend, other spellings, and how far apart
//! they are. `[regions]` in the file adds to it.

use alloc::{borrow::ToOwned, collections::BTreeMap, format, string::String};

use super::{
    error::{Faults, suggestion},
    field::{Field, Fields, join, keys_are_known, parts_of, read, shown},
    form,
    kind::{Form, Kind},
    model::Regions,
    sections::items,
    tree::{Node, Tree},
};

impl Default for Regions {
    fn default() -> Self {
        let mut aliases = BTreeMap::new();
        for (name, others) in NAMES {
            for alias in core::iter::once(*name).chain(others.split_whitespace()) {
                aliases.insert(alias.to_owned(), (*name).to_owned());
            }
        }
        let mut distances = BTreeMap::new();
        for (i, (row, _)) in NAMES.iter().enumerate() {
            for (j, (column, _)) in NAMES.iter().enumerate().take(i.saturating_add(1)) {
                if let Some(ms) = ROUND_TRIP_MS.get(i).and_then(|row| row.get(j)) {
                    distances.insert(pair(row, column), *ms);
                }
            }
        }
        Self { aliases, distances }
    }
}

impl Regions {
    /// The canonical name for a name or alias in any case; none if nobody has told of it.
    pub fn canonical(&self, name: &str) -> Option<&str> {
        self.aliases.get(&name.trim().to_ascii_lowercase()).map(String::as_str)
    }

    /// Distance between two canonical names: 0 to itself, none if unknown, which is farther than any known.
    pub fn distance(&self, a: &str, b: &str) -> Option<u32> {
        if a == b {
            return Some(0);
        }
        self.distances.get(&pair(a, b)).copied()
    }
}

impl Regions {
    /// The canonical name for what somebody wrote. A name that nobody knows is a region of its own, unless it looks
    /// like a slip of the pen: such an origin would silently be far from everybody.
    pub(super) fn resolve(&self, name: &str) -> Result<String, String> {
        if let Some(known) = self.canonical(name) {
            return Ok(known.to_owned());
        }
        let name = name.to_ascii_lowercase();
        let near = self.aliases.values().filter(|known| strsim::damerau_levenshtein(&name, known) == 1).min();
        match near {
            Some(near) if !name.ends_with(|c: char| c.is_ascii_digit()) => Err(format!(
                "`{name}` is not a known region; did you mean `{near}`? If not, name it under `[regions.aliases]`"
            )),
            _ => Ok(name),
        }
    }

    /// Reads `[regions]` over the built-in names.
    pub(super) fn extend(&mut self, node: &Node, faults: &mut Faults<'_>) {
        let Tree::Table(entries) = &node.tree else {
            faults.in_file(
                "regions",
                node.at,
                format!("{} is not accepted: write a table", node.tree.what()),
            );
            return;
        };
        keys_are_known(entries, "regions", || ["aliases", "distances"], faults);
        let part = |name: &str| entries.iter().find(|entry| entry.key == name).map(|entry| &entry.node);
        if let Some(aliases) = part("aliases") {
            self.add_aliases(aliases, faults);
        }
        if let Some(distances) = part("distances") {
            for (path, item) in items(distances, "regions.distances", faults) {
                self.add_distance(item, path, faults);
            }
        }
    }

    fn add_aliases(&mut self, node: &Node, faults: &mut Faults<'_>) {
        let Tree::Table(entries) = &node.tree else {
            let message = format!("{} is not accepted: write `alias = \"name\"`", node.tree.what());
            faults.in_file("regions.aliases", node.at, message);
            return;
        };
        for entry in entries {
            let path = join("regions.aliases", &entry.key);
            let kind = Kind::Text(Form::Region);
            let name = parts_of(&entry.node, kind).and_then(|parts| read::<String>(&parts, kind, false));
            match name {
                Ok(_) if !form::name(&entry.key) => {
                    let message =
                        format!("`{}` is not accepted: write {}", shown(&entry.key), Form::Region.accepts());
                    faults.in_file(&path, entry.at, message);
                }
                Ok(name) => {
                    self.aliases.insert(entry.key.to_ascii_lowercase(), name.to_ascii_lowercase());
                }
                Err(message) => faults.in_file(&path, entry.node.at, message),
            }
        }
        for entry in entries {
            let mut name = entry.key.to_ascii_lowercase();
            // An alias of an alias leads on; more steps than names is a circle.
            let mut steps = self.aliases.len();
            while let Some(next) = self.aliases.get(&name).filter(|next| **next != name) {
                name.clone_from(next);
                steps = steps.saturating_sub(1);
                if steps == 0 {
                    let path = join("regions.aliases", &entry.key);
                    faults.in_file(
                        &path,
                        entry.at,
                        "these aliases lead in a circle; give one of them its own name",
                    );
                    return;
                }
            }
            self.aliases.insert(name.clone(), name.clone());
            self.aliases.insert(entry.key.to_ascii_lowercase(), name);
        }
    }

    fn add_distance(&mut self, node: &Node, path: String, faults: &mut Faults<'_>) {
        let Some(mut fields) = Fields::open(node, path, DISTANCE, faults) else { return };
        let from: Option<String> = fields.get("from", faults);
        let to: Option<String> = fields.get("to", faults);
        let distance: Option<u32> = fields.get("distance", faults);
        let mut known = |key, name: Option<String>| {
            let name = name?;
            let known = self.canonical(&name).map(ToOwned::to_owned);
            if known.is_none() {
                let near = suggestion(&name, self.aliases.keys().map(String::as_str));
                let message =
                    format!("`{name}` is not a known region: name it under `[regions.aliases]`{near}");
                fields.refuse(key, message, faults);
            }
            known
        };
        let (from, to) = (known("from", from), known("to", to));
        if let (Some(from), Some(to), Some(distance)) = (from, to, distance) {
            self.distances.insert(pair(&from, &to), distance);
        }
    }
}

/// `distances` of `[regions]`.
pub(super) const DISTANCE: &[Field] = &[
    Field::one("from", Kind::Text(Form::Region), "a region").required(),
    Field::one("to", Kind::Text(Form::Region), "another region; the way back is as far").required(),
    Field::one(
        "distance",
        Kind::Number { min: 0, max: 1_000_000 },
        "smaller is nearer; the built-in ones are round trips in milliseconds",
    )
    .required(),
];

/// Both names in the order in which the table is keyed.
pub(super) fn pair(a: &str, b: &str) -> (String, String) {
    if a <= b { (a.to_owned(), b.to_owned()) } else { (b.to_owned(), a.to_owned()) }
}

/// Canonical names, each with country codes, cloud zones and other spellings. Where a country could be in two
/// regions it stands with the nearer large data centres.
const NAMES: &[(&str, &str)] = &[
    (
        "us-west",
        "us-west-1 us-west-2 us-west1 us-west2 us-west3 us-west4 westus westus2 westus3 wnam \
         california oregon",
    ),
    ("us-east", "us-east-1 us-east-2 us-east1 us-east4 us-east5 eastus eastus2 enam virginia ohio"),
    (
        "eu-west",
        "eu-west-1 eu-west-2 eu-west-3 europe-west1 europe-west2 europe-west9 westeurope northeurope \
         uksouth ukwest francecentral gb uk ie",
    ),
    (
        "eu-central",
        "eu-central-1 eu-central-2 eu-south-1 eu-north-1 europe-west3 europe-west6 europe-north1 \
         germanywestcentral switzerlandnorth swedencentral de at ch dk se no fi cz",
    ),
    ("ap-east", "ap-east-1 asia-east2 eastasia hk mo"),
    (
        "asia-east",
        "ap-northeast-1 ap-northeast-2 ap-northeast-3 asia-east1 asia-northeast1 asia-northeast2 \
         asia-northeast3 japaneast japanwest koreacentral cn-north-1 cn-northwest-1 apac cn jp kr tw \
         mn",
    ),
    (
        "asia-south",
        "ap-south-1 ap-south-2 ap-southeast-1 ap-southeast-3 asia-south1 asia-south2 asia-southeast1 \
         asia-southeast2 centralindia southindia southeastasia in pk bd lk sg my th vn id ph ae sa",
    ),
    ("europe-west", "europe eu weur fr nl be lu es pt it"),
    ("europe-east", "eeur europe-central2 polandcentral pl ro hu bg sk ua lt lv ee gr tr ru"),
    (
        "america-north",
        "america north-america us ca mx us-central us-central1 centralus northcentralus \
         southcentralus ca-central-1 ca-west-1 northamerica-northeast1 northamerica-northeast2 \
         canadacentral canadaeast mx-central-1",
    ),
    (
        "america-south",
        "south-america sam sa-east-1 southamerica-east1 southamerica-west1 brazilsouth br ar cl co pe \
         uy ec",
    ),
    (
        "oceania",
        "oc ap-southeast-2 ap-southeast-4 australia-southeast1 australia-southeast2 australiaeast \
         australiasoutheast au nz",
    ),
];

/// Lower triangle in the order of [`NAMES`]: usual round trips in ms between large data centres of both, rounded.
const ROUND_TRIP_MS: &[&[u32]] = &[
    &[0],
    &[65, 0],
    &[135, 75, 0],
    &[150, 90, 20, 0],
    &[155, 210, 210, 190, 0],
    &[110, 160, 220, 230, 45, 0],
    &[200, 205, 130, 120, 70, 90, 0],
    &[140, 80, 10, 15, 200, 225, 125, 0],
    &[165, 105, 40, 25, 190, 210, 120, 35, 0],
    &[45, 30, 100, 115, 180, 135, 220, 105, 130, 0],
    &[175, 115, 185, 200, 310, 260, 300, 190, 215, 140, 0],
    &[140, 200, 260, 255, 130, 110, 120, 255, 260, 170, 300, 0],
];
