//! What waits, what is asked for, and what is left.

use super::*;

fn queue(limit: usize) -> Outbound {
    Outbound::new("a@b/c".parse().unwrap(), limit)
}

fn stanza(xml: &str) -> Queued {
    Queued::whole(xml.into())
}

fn shared(xml: &str) -> Queued {
    Queued::shared(xml.into(), 1000)
}

fn take(outbound: &Outbound) -> Vec<String> {
    let mut out: Vec<Arc<str>> = Vec::new();
    outbound.take(usize::MAX, &mut out);
    out.iter().map(ToString::to_string).collect()
}

/// Whether the client is to be asked when one stanza more has been written to it.
fn asks(outbound: &Outbound, stanza: Queued) -> bool {
    outbound.push(stanza).unwrap();
    outbound.take(usize::MAX, &mut String::new()).asks
}

async fn woken(outbound: &Outbound) -> bool {
    tokio::select! { biased; () = outbound.changed() => true, () = async {} => false }
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
fn a_client_is_asked_about_what_it_must_not_miss_and_about_much_of_the_rest() {
    let outbound = queue(1 << 20);
    outbound.manage();
    for _ in 1..ASK_AFTER {
        let message = shared("<message type='groupchat'/>");
        assert!(!asks(&outbound, message));
    }
    assert!(asks(&outbound, stanza("<presence/>")));
    outbound.acknowledge(16).unwrap();
    assert!(!outbound.asks());
    assert!(asks(&outbound, stanza("<message/>")));
    // As long as that is not acknowledged.
    assert!(asks(&outbound, stanza("<presence/>")));
    assert!(asks(&outbound, shared("<message/>")));
    assert!(asks(&outbound, stanza("<message/>")));
    outbound.acknowledge(19).unwrap();
    assert!(outbound.asks());
    outbound.acknowledge(20).unwrap();
    assert!(!outbound.asks());
    outbound.ask_always();
    assert!(asks(&outbound, stanza("<presence/>")));
}

#[test]
fn what_is_written_again_is_asked_about_again_when_it_is() {
    let outbound = queue(1 << 20);
    outbound.manage();
    assert!(asks(&outbound, stanza("<message/>")));
    outbound.rewind();
    assert!(!outbound.asks());
    assert_eq!(outbound.acknowledge(1), Err(0));
    assert!(outbound.take(usize::MAX, &mut String::new()).asks);
    assert_eq!(outbound.acknowledge(1), Ok(()));
    assert_eq!((outbound.asks(), outbound.kept()), (false, 0));
}

#[test]
fn a_part_is_taken_and_the_rest_waits() {
    let outbound = queue(100);
    outbound.manage();
    for text in ["aaa", "bbb", "ccc"] {
        outbound.push(stanza(text)).unwrap();
    }
    let mut text = String::new();
    assert!(outbound.take(4, &mut text).more);
    assert_eq!(text, "aaabbb");
    assert_eq!(outbound.unacknowledged_stanzas().concat(), "aaabbbccc");
    outbound.acknowledge(1).unwrap();
    assert!(!outbound.take(4, &mut text).more);
    assert_eq!(text, "aaabbbccc");
    assert_eq!(outbound.close().concat(), "bbbccc");
}

#[test]
fn after_a_restart_all_may_have_been_written() {
    let outbound = queue(100);
    outbound.restore(7, ["<message/>", "<presence/>"].into_iter().map(Arc::from));
    assert!(outbound.asks());
    outbound.push(stanza("<iq/>")).unwrap();
    assert_eq!(outbound.acknowledge(10), Err(9));
    outbound.acknowledge(8).unwrap();
    outbound.rewind();
    assert_eq!(take(&outbound), ["<presence/>", "<iq/>"]);
}

#[tokio::test]
async fn who_works_is_not_woken_and_sees_all_the_same_what_came() {
    struct Count(std::sync::atomic::AtomicUsize);
    impl std::task::Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let count = Arc::new(Count(0.into()));
    let waker = Waker::from(Arc::clone(&count));
    let mut cx = Context::from_waker(&waker);
    let wakes = || count.0.load(Ordering::Relaxed);
    let outbound = queue(100);
    assert!(outbound.poll_changed(&mut cx).is_pending());
    outbound.push(stanza("a")).unwrap();
    outbound.push(stanza("b")).unwrap();
    assert_eq!(wakes(), 1, "once for what comes until it is looked");
    assert!(outbound.poll_changed(&mut cx).is_ready());
    assert_eq!(take(&outbound), ["a", "b"]);
    assert!(outbound.poll_changed(&mut cx).is_pending());
    outbound.awake();
    outbound.push(stanza("c")).unwrap();
    assert_eq!(wakes(), 1);
    assert!(outbound.poll_changed(&mut cx).is_ready());
    take(&outbound);
    assert!(outbound.poll_changed(&mut cx).is_pending());
    outbound.end(End::Resumed);
    assert_eq!(wakes(), 2);
    assert!(outbound.poll_changed(&mut cx).is_ready());
    outbound.rewind();
    assert!(outbound.poll_changed(&mut cx).is_ready(), "written again");
}

#[tokio::test]
async fn all_who_wait_for_an_end_or_a_resumption_hear_of_it() {
    let outbound = queue(100);
    let resumed = AtomicBool::new(false);
    let waits = || outbound.until(|| resumed.load(Ordering::Acquire));
    tokio::join!(waits(), waits(), async {
        outbound.end(End::Resumed);
        assert!(outbound.has_end() && !outbound.has_failed());
        tokio::task::yield_now().await;
        resumed.store(true, Ordering::Release);
        outbound.rewind();
        assert!(!outbound.has_end());
    });
}

#[test]
fn without_stream_management_written_stanzas_are_forgotten() {
    let outbound = queue(10);
    outbound.push(stanza("0123456789")).unwrap();
    take(&outbound);
    outbound.push(stanza("0123456789")).unwrap();
    assert_eq!(outbound.close().len(), 1);
}
