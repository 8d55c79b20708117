//! Reads what `smartctl --json` prints (smartmontools 7; its fields are named after the standards': ATA8-ACS, and NVM Express 1.4,
//! "SMART / Health Information").

use serde::Deserialize;

use super::{Health, State};

/// Of a disk's life, in hundredths. The rest may be used up within weeks where it took years to get there.
const NEARLY_OVER: u64 = 90;
/// Some replaced sectors are usual in years of use; so many are an end that has begun.
const MANY_REPLACED: u64 = 50;
/// Attributes of ATA disks (names by smartctl's database, numbers are the makers' custom).
const REALLOCATED: u16 = 5;
/// As above.
const PENDING: u16 = 197;
/// As above.
const UNCORRECTABLE: u16 = 198;
/// Attributes whose value is how much of an SSD's life is left. Their numbers mean other things on other disks, their names do not.
const LIFE_LEFT: [&str; 6] = [
    "SSD_Life_Left",
    "Media_Wearout_Indicator",
    "Wear_Leveling_Count",
    "Percent_Lifetime_Remain",
    "Percent_Life_Remaining",
    "Remaining_Lifetime_Perc",
];
/// The bits of NVMe's critical warning, with what each says. Bit 1 is the temperature, which passes.
const WARNINGS: [(u8, &str); 4] = [
    (0, "its spare blocks are used up"),
    (2, "it has become unreliable"),
    (3, "it can only be read any more"),
    (4, "it loses what it has not written when the power goes"),
];

#[derive(Default, Deserialize)]
#[serde(default)]
struct Printed {
    model_name: Option<String>,
    smart_status: Option<Passed>,
    temperature: Current,
    endurance_used: CurrentPercent,
    ata_smart_attributes: Option<Attributes>,
    nvme_smart_health_information_log: Option<Nvme>,
    smartctl: Smartctl,
}

#[derive(Deserialize)]
struct Passed {
    passed: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Current {
    current: Option<i64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct CurrentPercent {
    current_percent: Option<u64>,
}

#[derive(Deserialize)]
struct Attributes {
    #[serde(default)]
    table: Vec<Attribute>,
}

#[derive(Deserialize)]
struct Attribute {
    id: u16,
    #[serde(default)]
    name: String,
    #[serde(default)]
    value: u64,
    #[serde(default)]
    when_failed: String,
    raw: Raw,
}

#[derive(Deserialize)]
struct Raw {
    value: u64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Nvme {
    critical_warning: u64,
    percentage_used: Option<u64>,
    media_errors: u64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Smartctl {
    messages: Vec<Message>,
}

#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    string: String,
}

/// What the disk says. `None`: it sleeps, and was not woken up; what was known before still counts.
#[must_use]
pub fn read(printed: &str) -> Option<Health> {
    let Ok(printed) = serde_json::from_str::<Printed>(printed) else {
        return Some(Health::default());
    };
    let mut messages = printed.smartctl.messages.iter();
    if messages.any(|message| message.string.starts_with("Device is in ")) {
        return None;
    }
    let mut health = Health {
        model: printed.model_name.clone(),
        temperature: printed.temperature.current,
        ..Health::default()
    };
    let (mut failing, mut worn) = (Vec::new(), Vec::new());
    if let Some(log) = &printed.nvme_smart_health_information_log {
        of_nvme(log, &mut health, &mut failing, &mut worn);
    } else if let Some(attributes) = &printed.ata_smart_attributes {
        of_ata(&attributes.table, &mut health, &mut failing, &mut worn);
    } else if printed.smart_status.is_none() {
        return Some(health);
    }
    health.worn = printed.endurance_used.current_percent.or(health.worn);
    // Of NVMe it is no more than the critical warning, with the heat.
    let has_failed = printed.smart_status.is_some_and(|status| !status.passed);
    if has_failed && failing.is_empty() && printed.nvme_smart_health_information_log.is_none() {
        failing.push("it expects to fail".to_owned());
    }
    if let Some(percent) = health.worn.filter(|percent| *percent >= NEARLY_OVER) {
        worn.push(format!("{percent} % of its life are over"));
    }
    health.state = match (failing.is_empty(), worn.is_empty()) {
        (false, _) => State::Failing,
        (true, false) => State::Worn,
        (true, true) => State::Good,
    };
    health.reasons = failing;
    health.reasons.append(&mut worn);
    Some(health)
}

fn of_nvme(log: &Nvme, health: &mut Health, failing: &mut Vec<String>, worn: &mut Vec<String>) {
    let warned = WARNINGS
        .iter()
        .filter(|(bit, _)| log.critical_warning >> bit & 1 == 1);
    failing.extend(warned.map(|(_, text)| (*text).to_owned()));
    health.worn = log.percentage_used;
    health.unreadable = Some(log.media_errors);
    // A count of its whole life: what was lost once need not be a disk that fails.
    if log.media_errors > 0 {
        worn.push(format!(
            "it could not read {} times in its life",
            log.media_errors
        ));
    }
}

fn of_ata(
    table: &[Attribute],
    health: &mut Health,
    failing: &mut Vec<String>,
    worn: &mut Vec<String>,
) {
    let raw = |id: u16| {
        let found = table.iter().find(|attribute| attribute.id == id);
        found.map(|attribute| attribute.raw.value)
    };
    for attribute in table.iter().filter(|a| a.when_failed == "now") {
        failing.push(format!("{} is beyond its limit", attribute.name));
    }
    health.reallocated = raw(REALLOCATED);
    health.unreadable = raw(PENDING).max(raw(UNCORRECTABLE));
    if let Some(sectors) = health.unreadable.filter(|sectors| *sectors > 0) {
        failing.push(format!("{sectors} sectors cannot be read"));
    }
    if let Some(sectors) = health.reallocated.filter(|count| *count > MANY_REPLACED) {
        worn.push(format!("{sectors} sectors had to be replaced"));
    }
    let left = table
        .iter()
        .find(|attribute| LIFE_LEFT.contains(&attribute.name.as_str()));
    // One that counts from 200 or 253 down says nothing in hundredths.
    let left = left.and_then(|attribute| 100_u64.checked_sub(attribute.value));
    health.worn = left;
}
