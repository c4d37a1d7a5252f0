//! Regions that everybody knows: names of the old gateway and of the backend, other spellings, and how far apart
//! they are. `[regions]` in the file adds to it.

use alloc::{borrow::ToOwned, collections::BTreeMap, string::String};

use super::model::Regions;

impl Default for Regions {
    fn default() -> Self {
        let mut aliases = BTreeMap::new();
        for (name, others) in NAMES {
            for alias in core::iter::once(name).chain(others.iter()) {
                aliases.insert((*alias).to_owned(), (*name).to_owned());
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

/// Both names in the order in which the table is keyed.
pub(super) fn pair(a: &str, b: &str) -> (String, String) {
    if a <= b { (a.to_owned(), b.to_owned()) } else { (b.to_owned(), a.to_owned()) }
}

/// Canonical names, each with country codes, cloud zones and other spellings. Where a country could be in two
/// regions it stands with the nearer large data centres.
const NAMES: &[(&str, &[&str])] = &[
    (
        "us-west",
        &[
            "us-west-1",
            "us-west-2",
            "us-west1",
            "us-west2",
            "us-west3",
            "us-west4",
            "westus",
            "westus2",
            "westus3",
            "wnam",
            "california",
            "oregon",
        ],
    ),
    (
        "us-east",
        &[
            "us-east-1",
            "us-east-2",
            "us-east1",
            "us-east4",
            "us-east5",
            "eastus",
            "eastus2",
            "enam",
            "virginia",
            "ohio",
        ],
    ),
    (
        "eu-west",
        &[
            "eu-west-1",
            "eu-west-2",
            "eu-west-3",
            "europe-west1",
            "europe-west2",
            "europe-west9",
            "westeurope",
            "northeurope",
            "uksouth",
            "ukwest",
            "francecentral",
            "gb",
            "uk",
            "ie",
        ],
    ),
    (
        "eu-central",
        &[
            "eu-central-1",
            "eu-central-2",
            "eu-south-1",
            "eu-north-1",
            "europe-west3",
            "europe-west6",
            "europe-north1",
            "germanywestcentral",
            "switzerlandnorth",
            "swedencentral",
            "de",
            "at",
            "ch",
            "dk",
            "se",
            "no",
            "fi",
            "cz",
        ],
    ),
    ("ap-east", &["ap-east-1", "asia-east2", "eastasia", "hk", "mo"]),
    (
        "asia-east",
        &[
            "ap-northeast-1",
            "ap-northeast-2",
            "ap-northeast-3",
            "asia-east1",
            "asia-northeast1",
            "asia-northeast2",
            "asia-northeast3",
            "japaneast",
            "japanwest",
            "koreacentral",
            "cn-north-1",
            "cn-northwest-1",
            "apac",
            "cn",
            "jp",
            "kr",
            "tw",
            "mn",
        ],
    ),
    (
        "asia-south",
        &[
            "ap-south-1",
            "ap-south-2",
            "ap-southeast-1",
            "ap-southeast-3",
            "asia-south1",
            "asia-south2",
            "asia-southeast1",
            "asia-southeast2",
            "centralindia",
            "southindia",
            "southeastasia",
            "in",
            "pk",
            "bd",
            "lk",
            "sg",
            "my",
            "th",
            "vn",
            "id",
            "ph",
            "ae",
            "sa",
        ],
    ),
    ("europe-west", &["europe", "eu", "weur", "fr", "nl", "be", "lu", "es", "pt", "it"]),
    (
        "europe-east",
        &[
            "eeur",
            "europe-central2",
            "polandcentral",
            "pl",
            "ro",
            "hu",
            "bg",
            "sk",
            "ua",
            "lt",
            "lv",
            "ee",
            "gr",
            "tr",
            "ru",
        ],
    ),
    (
        "america-north",
        &[
            "america",
            "north-america",
            "us",
            "ca",
            "mx",
            "us-central",
            "us-central1",
            "centralus",
            "northcentralus",
            "southcentralus",
            "ca-central-1",
            "ca-west-1",
            "northamerica-northeast1",
            "northamerica-northeast2",
            "canadacentral",
            "canadaeast",
            "mx-central-1",
        ],
    ),
    (
        "america-south",
        &[
            "south-america",
            "sam",
            "sa-east-1",
            "southamerica-east1",
            "southamerica-west1",
            "brazilsouth",
            "br",
            "ar",
            "cl",
            "co",
            "pe",
            "uy",
            "ec",
        ],
    ),
    (
        "oceania",
        &[
            "oc",
            "ap-southeast-2",
            "ap-southeast-4",
            "australia-southeast1",
            "australia-southeast2",
            "australiaeast",
            "australiasoutheast",
            "au",
            "nz",
        ],
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
