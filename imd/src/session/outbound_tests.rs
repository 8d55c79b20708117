//! What waits, what is asked for, and what is left.

use super::*;

fn queue(limit: usize) -> Outbound {
    Outbound::new("a@b/c".parse().unwrap(), limit)
}

fn stanza(xml: &str) -> Queued {
    Queued::whole(xml.into())
}

fn take(outbound: &Outbound) -> Vec<String> {
    let mut out = Vec::new();
    outbound.take(usize::MAX, &mut out);
    out.iter().map(|s| s.xml().to_owned()).collect()
}

#[test]
fn what_is_not_acknowledged_is_written_again_after_a_resumption() {
    let outbound = queue(100);
    outbound.manage();
    for text in ["a", "b", "c"] {
        outbound.push(stanza(text)).unwrap();
    }
    assert_eq!(take(&outbound), ["a", "b", "c"]);
    outbound.push(stanza("d")).unwrap();
    outbound.acknowledge(1).unwrap();
    outbound.rewind();
    assert_eq!(take(&outbound), ["b", "c", "d"]);
}

#[test]
fn a_client_cannot_acknowledge_more_than_was_sent() {
    let outbound = queue(100);
    outbound.manage();
    outbound.push(stanza("a")).unwrap();
    take(&outbound);
    assert_eq!(outbound.acknowledge(2), Err(1));
    assert_eq!(outbound.acknowledge(1), Ok(()));
}

#[test]
fn a_client_that_never_reads_is_ended() {
    let outbound = queue(10);
    outbound.push(stanza("0123456789")).unwrap();
    assert_eq!(outbound.push(stanza("x")), Err(PushError::Full));
    assert!(matches!(outbound.take_end(), Some(End::Error(_))));
    assert_eq!(outbound.close().len(), 1);
    assert_eq!(outbound.push(stanza("x")), Err(PushError::Ended));
}

#[tokio::test]
async fn what_can_wait_wakes_nobody_until_too_much_waits() {
    let outbound = queue(1 << 20);
    let woken = async |outbound: &Outbound| {
        tokio::select! { biased; () = outbound.changed() => true, () = async {} => false }
    };
    for _ in 1..HELD_STANZAS {
        outbound.hold(stanza("p")).unwrap();
    }
    assert!(!woken(&outbound).await);
    outbound.hold(stanza("p")).unwrap();
    assert!(woken(&outbound).await);
    assert_eq!(take(&outbound).len(), HELD_STANZAS);
    outbound.hold(stanza("p")).unwrap();
    assert!(!woken(&outbound).await);
    outbound.push(stanza("m")).unwrap();
    assert!(woken(&outbound).await);
    assert_eq!(take(&outbound), ["p", "m"]);
}

#[test]
fn a_client_is_asked_at_once_for_what_it_must_not_miss_and_now_and_then_for_the_rest() {
    let outbound = queue(1 << 20);
    outbound.manage();
    let asks = |stanza: Queued| {
        outbound.push(stanza).unwrap();
        outbound.take(usize::MAX, &mut Vec::new()).ask
    };
    for _ in 1..ASK_AFTER {
        assert!(!asks(Queued::shared("<message type='groupchat'/>".into())));
    }
    assert!(asks(stanza("<presence/>")));
    outbound.acknowledge(16).unwrap();
    assert!(!outbound.asks());
    assert!(asks(stanza("<message/>")));
    // As long as that is not acknowledged.
    assert!(asks(stanza("<presence/>")));
    outbound.acknowledge(18).unwrap();
    assert!(!outbound.asks());
    outbound.ask_always();
    assert!(asks(stanza("<presence/>")));
}

#[test]
fn without_stream_management_written_stanzas_are_forgotten() {
    let outbound = queue(10);
    outbound.push(stanza("0123456789")).unwrap();
    take(&outbound);
    outbound.push(stanza("0123456789")).unwrap();
    assert_eq!(outbound.close().len(), 1);
}
