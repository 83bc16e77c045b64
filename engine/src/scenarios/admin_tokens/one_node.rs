//! Admin tokens on one node: commands, readers, restarts and failures.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::thread;

use talos_model::limits::ADMIN_TOKENS;
use talos_model::{Mode, Rejection};

use super::*;
use crate::scenarios::failed_writes::Failing;
use crate::scenarios::model::files::copy_of_one_moment;

#[test]
fn a_token_lives_from_its_creation_to_its_revocation() {
    let scratch = tempfile::tempdir().unwrap();
    let engine = open(scratch.path());
    assert_accepted(&engine, &[]);
    let created = create(&engine, "ci", 1);
    assert_eq!((created.role, created.tenant), (Role::Operate, None));
    assert_eq!(created.create_time, created.rotate_time);
    assert_eq!(created.sequence, engine.committed().sequence);
    assert_eq!(found(&engine, 1).as_deref(), Some("ci"));
    let rotated = rotate(&engine, created.id, 2);
    assert_eq!((rotated.id, rotated.digest), (created.id, digest(2)));
    assert_eq!(rotated.create_time, created.create_time);
    assert_accepted(&engine, &[2]);
    let revoked = revoke(&engine, created.id);
    assert_eq!(revoked.sequence, engine.committed().sequence);
    assert_eq!((&*revoked.name, revoked.digest), ("ci", digest(2)));
    assert_accepted(&engine, &[]);
    // Its name is free again.
    assert_ne!(create(&engine, "ci", 3).id, created.id);
    assert_accepted(&engine, &[3]);
}

#[test]
fn a_rotation_replaces_the_expiry_or_leaves_it() {
    let scratch = tempfile::tempdir().unwrap();
    let engine = open(scratch.path());
    let (begin, mut now) = (clock::now(), clock::now());
    let mut execute_at = |command: Command, later_ms: i64| {
        now.0 += later_ms;
        let (sender, receiver) = channel();
        engine.submit_at(None, command, now, move |outcome| {
            sender.send(outcome).unwrap();
        });
        match receiver.recv().unwrap() {
            Ok(Outcome::AdminToken(token)) => token,
            other => panic!("{other:?}"),
        }
    };
    let creation = CreateAdminToken {
        ttl_ms: Some(1000),
        ..creation("ci", 1)
    };
    let created = execute_at(Command::CreateAdminToken(creation), 0);
    let rotation = |n, ttl_ms| {
        Command::RotateAdminToken(RotateAdminToken {
            id: created.id,
            digest: digest(n),
            ttl_ms,
        })
    };
    let end = |ms| Some(UnixMillis(begin.0 + ms));
    assert_eq!(created.expire_time, end(1000));
    let rotated = execute_at(rotation(2, None), 10);
    assert_eq!(rotated.expire_time, end(1000));
    assert_eq!(Some(rotated.rotate_time), end(10));
    assert_eq!(execute_at(rotation(3, Some(500)), 10).expire_time, end(520));
    // Longer than time goes on.
    let forever = execute_at(rotation(4, Some(u64::MAX)), 10);
    assert_eq!(forever.expire_time, Some(UnixMillis(i64::MAX)));
    let tokens = engine.admin_tokens();
    assert!(tokens.find(&digest(3), begin).is_none());
    assert!(tokens.find(&digest(4), UnixMillis(i64::MAX - 1)).is_some());
}

#[test]
fn what_stands_against_a_command_is_said() {
    let scratch = tempfile::tempdir().unwrap();
    let engine = open(scratch.path());
    let first = create(&engine, "token-0", 0);
    let before = engine.committed();
    let unknown = Uuid::from_u128(1);
    let rotation = RotateAdminToken {
        id: unknown,
        digest: digest(1),
        ttl_ms: None,
    };
    let not_found = Err(Rejection::AdminTokenNotFound.into());
    assert_eq!(execute(&engine, rotation), not_found);
    let revocation = RevokeAdminToken { id: unknown };
    assert_eq!(execute(&engine, revocation), not_found);
    let taken = execute(&engine, creation("token-0", 1));
    assert_eq!(taken, Err(Rejection::AdminTokenExists.into()));
    assert_eq!(engine.committed(), before, "nothing was changed");

    // All of one write see those before them.
    let (sender, receiver) = channel();
    let last = u16::try_from(ADMIN_TOKENS).unwrap();
    for n in 1..=last {
        let sender = sender.clone();
        engine.submit(creation(&format!("token-{n}"), n), move |outcome| {
            sender.send(outcome).unwrap();
        });
    }
    drop(sender);
    let outcomes: Vec<_> = receiver.iter().collect();
    let (made, refused): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
    assert_eq!(made.len(), ADMIN_TOKENS - 1);
    assert_eq!(refused, [Err(Rejection::TooManyAdminTokens.into())]);
    let ids: HashSet<_> = engine
        .admin_tokens()
        .all()
        .iter()
        .map(|token| token.id)
        .collect();
    assert_eq!(ids.len(), ADMIN_TOKENS);
    revoke(&engine, first.id);
    create(&engine, "one more", last + 1);
    drop(engine);
    let engine = open(scratch.path());
    assert_eq!(engine.admin_tokens().all().len(), ADMIN_TOKENS);
    assert!(found(&engine, 0).is_none() && found(&engine, last + 1).is_some());
}

/// What a callback of a command sees is what the client of that command may rely on.
#[test]
fn a_change_is_in_force_before_it_is_acknowledged() {
    let scratch = tempfile::tempdir().unwrap();
    let engine = open(scratch.path());
    let seen_by = |command: Command| {
        let (sender, receiver) = channel();
        let seeing = Arc::clone(&engine);
        engine.submit(command, move |outcome| {
            let accepted: Vec<_> = (0..10).filter(|n| found(&seeing, *n).is_some()).collect();
            sender.send((outcome, accepted)).unwrap();
        });
        match receiver.recv().unwrap() {
            (Ok(Outcome::AdminToken(token)), accepted) => (token.id, accepted),
            other => panic!("{other:?}"),
        }
    };
    let (id, accepted) = seen_by(Command::CreateAdminToken(creation("ci", 1)));
    assert_eq!(accepted, [1]);
    let rotation = RotateAdminToken {
        id,
        digest: digest(2),
        ttl_ms: None,
    };
    assert_eq!(seen_by(Command::RotateAdminToken(rotation)).1, [2]);
    let revocation = Command::RevokeAdminToken(RevokeAdminToken { id });
    assert_eq!(seen_by(revocation).1, [0_u16; 0]);
}

#[test]
fn readers_on_other_threads_never_find_a_revoked_token() {
    const TOKENS: u16 = 100;
    let scratch = tempfile::tempdir().unwrap();
    let engine = open(scratch.path());
    // The tokens below `created` were created, those below `revoked` revoked. The revocation of
    // those below `revoking` may be in force.
    let [created, revoking, revoked] = [0; 3].map(AtomicU16::new);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let read = || {
            let mut reads = 0_u64;
            while !is_over.load(Ordering::Acquire) {
                let ended = revoked.load(Ordering::Acquire);
                let begun = created.load(Ordering::Acquire);
                let tokens = engine.admin_tokens();
                assert!((0..ended).all(|n| holder(&tokens, n).is_none()));
                if begun > ended && holder(&tokens, begun - 1).is_none() {
                    assert!(revoking.load(Ordering::Acquire) >= begun);
                }
                reads += 1;
            }
            reads
        };
        let readers = [scope.spawn(read), scope.spawn(read)];
        for n in 0..TOKENS {
            let token = create(&engine, &format!("token-{n}"), n);
            created.store(n + 1, Ordering::Release);
            thread::yield_now();
            revoking.store(n + 1, Ordering::Release);
            revoke(&engine, token.id);
            revoked.store(n + 1, Ordering::Release);
        }
        is_over.store(true, Ordering::Release);
        for reader in readers {
            assert!(reader.join().unwrap() > 0);
        }
    });
}

#[test]
fn tokens_survive_a_crash_after_each_step() {
    let scratch = tempfile::tempdir().unwrap();
    let at = |name: &str| scratch.path().join(name);
    let engine = open(&at("live"));
    let mut crashes = 0;
    let mut crash = |expected: &[u16]| {
        crashes += 1;
        let copy = at(&format!("crash-{crashes}"));
        copy_of_one_moment(&at("live"), &copy);
        let crashed = open(&copy);
        assert_accepted(&crashed, expected);
        assert_eq!(crashed.state_hash(), engine.state_hash());
        assert_eq!(crashed.committed(), engine.committed());
        // And it goes on from there.
        create(&crashed, "after", 9);
        assert_eq!(found(&crashed, 9).as_deref(), Some("after"));
    };
    let one = create(&engine, "one", 1);
    crash(&[1]);
    let two = create(&engine, "two", 2);
    crash(&[1, 2]);
    rotate(&engine, one.id, 3);
    crash(&[2, 3]);
    revoke(&engine, two.id);
    crash(&[3]);
    issue_new(&engine, "a key between");
    revoke(&engine, one.id);
    crash(&[]);
    assert_eq!(engine.state_hash().unwrap().admin_tokens_hash, 0);
}

#[test]
fn a_failed_write_changes_no_token() {
    let scratch = tempfile::tempdir().unwrap();
    let fail = Arc::new(AtomicBool::new(false));
    let failing = Arc::clone(&fail);
    let wrap = move |journal| Failing::boxed(journal, failing);
    let options = options(scratch.path());
    let engine = Engine::open_with(options, Mode::Primary, |reader| reader, wrap).unwrap();
    let token = create(&engine, "ci", 1);
    fail.store(true, Ordering::SeqCst);
    let revocation = RevokeAdminToken { id: token.id };
    for refused in [
        execute(&engine, creation("other", 2)),
        execute(&engine, revocation),
    ] {
        assert!(
            matches!(refused, Err(CommandError::Latched(_))),
            "{refused:?}"
        );
    }
    assert_accepted(&engine, &[1]);
}

#[test]
fn a_database_whose_tokens_do_not_fit_its_log_is_refused() {
    let damages: [fn(&Engine, &AdminToken, &AdminToken); 3] = [
        |engine, _, kept| engine.store().remove_admin_token(kept),
        |engine, revoked, _| engine.store().put_admin_token(revoked),
        // Another version of the token.
        |engine, _, kept| {
            let other = AdminToken {
                sequence: kept.sequence.next(),
                ..kept.clone()
            };
            engine.store().put_admin_token(&other);
        },
    ];
    for (damage, change) in damages.into_iter().zip([2, 3, 2]) {
        let scratch = tempfile::tempdir().unwrap();
        let engine = open(scratch.path());
        let revoked = create(&engine, "revoked", 1);
        let kept = create(&engine, "kept", 2);
        revoke(&engine, revoked.id);
        damage(&engine, &revoked, &kept);
        drop(engine);
        let error = open_error(scratch.path()).to_string();
        let expected = format!("change {change} is in the log, but not in the admin tokens");
        assert!(error.contains(&expected), "{error}");
    }
}
