//! That an answer from memory allocates nothing, counted on the core that gives it.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use talos_credentials::DeriveToken;
use talos_credentials::Enforcement;
use talos_credentials::token::{CustomClaims, TokenType};
use talos_engine::Engine;
use talos_model::{KeyId, RateLimitPolicy, Role, TenantId};
use talos_test_kit::engine::change_tenant;

use crate::support::{ALIVE, Connection, Fixture, both_drivers, post};
use crate::tokens::{create, token};
use crate::verification::{issue, of, request};

/// The system's allocator, which counts for each thread how often it was asked.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
    static BYTES: Cell<u64> = const { Cell::new(0) };
}

/// How often this thread has allocated.
pub(crate) fn on_this_thread() -> u64 {
    ALLOCATIONS.with(Cell::get)
}

/// How many bytes this thread has allocated more than it has freed.
pub(crate) fn bytes_on_this_thread() -> u64 {
    BYTES.with(Cell::get)
}

/// Counts an allocation of `gained` bytes that replaces one of `lost` bytes.
fn count(gained: usize, lost: usize) {
    ALLOCATIONS.with(|count| count.set(count.get() + 1));
    change(gained, lost);
}

fn change(gained: usize, lost: usize) {
    BYTES.with(|bytes| {
        bytes.set(
            bytes
                .get()
                .wrapping_add(gained as u64)
                .wrapping_sub(lost as u64),
        );
    });
}

// SAFETY: every call is passed on unchanged to the system's allocator; counting touches only a
// thread-local number that needs neither memory nor a destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        // SAFETY: the caller's promise is the one asked for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        change(0, layout.size());
        // SAFETY: the caller's promise is the one asked for.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size, layout.size());
        // SAFETY: the caller's promise is the one asked for.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How often the core that serves `client` has allocated.
fn allocations(client: &mut Connection) -> u64 {
    allocations_seen_with(client, "")
}

/// Counts allocations as [`allocations`] does, for a request with these header fields.
fn allocations_seen_with(client: &mut Connection, fields: &str) -> u64 {
    client.send(post(&format!("X-Test: allocations\r\n{fields}"), "").as_bytes());
    client.answer().text().parse().unwrap()
}

/// A token of the key.
fn derive(engine: &Engine, key_id: KeyId) -> String {
    let (sender, receiver) = std::sync::mpsc::channel();
    engine.get(TenantId::SINGLE, key_id, move |record| {
        sender.send(record).unwrap();
    });
    let parent = receiver.recv().unwrap().unwrap().unwrap();
    let wanted = DeriveToken {
        token_type: TokenType::Macaroon,
        ttl_ms: None,
        scopes: Vec::new(),
        audiences: Vec::new(),
        custom: CustomClaims::default(),
    };
    let derived = engine.derive(&parent, wanted, None).unwrap();
    derived.token.expose().to_owned()
}

fn ask(client: &mut Connection, request: &str, count: u64) {
    for _ in 0..count {
        client.send(request.as_bytes());
        assert_eq!(client.answer().status, 200);
    }
}

#[test]
fn an_answer_from_memory_allocates_nothing() {
    const COUNT: u64 = 2000;
    both_drivers(|driver| {
        let fixture = Fixture::new(driver);
        let (credential, key_id) = issue(&fixture.engine, None);
        let token = derive(&fixture.engine, key_id);
        let of_token = request("", &of(&token));
        change_tenant(&fixture.engine, |tenant| {
            tenant.rate_limits = Enforcement::On;
        });
        let limited = |quota| {
            let window_s = 31_536_000;
            let policy = RateLimitPolicy { quota, window_s };
            let (credential, _) = issue(&fixture.engine, Some(policy));
            request("", &of(&credential))
        };
        let (within_limit, beyond_limit) = (limited(1_000_000), limited(1));
        let verification = request("User-Agent: test\r\nAccept: */*\r\n", &of(&credential));
        let unknown = request("", &of("nobody"));
        let mut client = fixture.connect();
        for request in [
            &verification,
            &of_token,
            &within_limit,
            &beyond_limit,
            &unknown,
            ALIVE,
        ] {
            ask(&mut client, request, 10);
            let before = allocations(&mut client);
            ask(&mut client, request, COUNT);
            let allocated = allocations(&mut client) - before;
            // The two questions and the date of each second allocate; a request must not, even one
            // in ten.
            assert!(
                allocated < COUNT / 10,
                "{allocated} for {COUNT} times {request}"
            );
        }
    });
}

/// Neither does the proof of who asks.
#[test]
fn a_principal_costs_no_allocation() {
    const COUNT: u64 = 2000;
    both_drivers(|driver| {
        let fixture = Fixture::with(driver, |options| options.admin_auth.enabled = true);
        create(&fixture.engine, 1, Role::Verify, None, None);
        create(&fixture.engine, 2, Role::Write, None, None);
        let (credential, _) = issue(&fixture.engine, None);
        let field = format!("X-Talos-Token: {}\r\n", token(1));
        let verification = request(&field, &of(&credential));
        let reader = format!("Authorization: Bearer {}\r\n", token(2));
        let mut client = fixture.connect();
        ask(&mut client, &verification, 10);
        let before = allocations_seen_with(&mut client, &reader);
        ask(&mut client, &verification, COUNT);
        let allocated = allocations_seen_with(&mut client, &reader) - before;
        assert!(allocated < COUNT / 10, "{allocated} for {COUNT}");
    });
}
