//! The entries of a message as they stand in its row: LEB128 numbers and texts, so that a message and its place in every
//! archive are written together, in few bytes.

/// One message in one archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// The entry's id.
    pub(super) id: i64,
    /// Whose archive: an id in `jids`.
    pub(super) owner: i64,
    /// The other side: an id in `jids`.
    pub(super) peer: i64,
    /// The other side's resource.
    pub(super) resource: Option<String>,
}

/// Packs the places of the message `message`; none of their ids is less than that.
pub(super) fn pack(message: i64, places: &[Place]) -> Vec<u8> {
    let mut out = Vec::with_capacity(places.len() * 20);
    for place in places {
        put(&mut out, place.id.abs_diff(message));
        put(&mut out, place.owner.unsigned_abs());
        put(&mut out, place.peer.unsigned_abs());
        let resource = place.resource.as_deref();
        put(&mut out, resource.map_or(0, |text| text.len() as u64 + 1));
        out.extend_from_slice(resource.unwrap_or_default().as_bytes());
    }
    out
}

/// Reads what [`pack`] has written; `None` where it is something else.
pub(super) fn unpack(message: i64, mut bytes: &[u8]) -> Option<Vec<Place>> {
    let mut places = Vec::with_capacity(2);
    while !bytes.is_empty() {
        let id = message.checked_add_unsigned(take(&mut bytes)?)?;
        let owner = i64::try_from(take(&mut bytes)?).ok()?;
        let peer = i64::try_from(take(&mut bytes)?).ok()?;
        let resource = match usize::try_from(take(&mut bytes)?).ok()? {
            0 => None,
            more => {
                let (text, rest) = bytes.split_at_checked(more - 1)?;
                bytes = rest;
                Some(String::from_utf8(text.to_vec()).ok()?)
            }
        };
        places.push(Place {
            id,
            owner,
            peer,
            resource,
        });
    }
    Some(places)
}

fn put(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(id: i64, owner: i64, resource: Option<&str>) -> Place {
        Place {
            id,
            owner,
            peer: 300,
            resource: resource.map(str::to_owned),
        }
    }

    #[test]
    fn what_is_packed_is_read_again() {
        let message = 1_790_000_000_000_000;
        for places in [
            vec![],
            vec![place(message, 1, None)],
            vec![
                place(message, 127, Some("")),
                place(message + 1_000_000, 128, Some("Telefon ☎")),
            ],
        ] {
            assert_eq!(unpack(message, &pack(message, &places)), Some(places));
        }
    }

    #[test]
    fn two_places_take_few_bytes() {
        let places = [place(5, 12, Some("phone")), place(6, 13, None)];
        assert!(pack(5, &places).len() <= 16);
    }

    #[test]
    fn damage_is_noticed() {
        let packed = pack(5, &[place(5, 1, Some("phone"))]);
        assert_eq!(unpack(5, &packed[..packed.len() - 1]), None);
        assert_eq!(unpack(5, &[0xff; 11]), None);
        assert_eq!(unpack(5, &[0, 1, 1, 2, 0xff]), None, "not UTF-8");
    }
}
