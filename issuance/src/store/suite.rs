//! What every implementation of the store must do: one function a property, each on a store of its own.
//!
//! An implementation's tests call [`store_suite!`](crate::store_suite) with an async function that makes an empty
//! store, and something to keep until the test is over:
//!
//! ```text
//! async fn make() -> (TempDir, Arc<dyn Store>) { … }
//! issuance::store_suite!(make);
//! ```

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "these are tests; they live outside cfg(test) because other crates run them"
)]

mod accounts;
mod audit;
mod claims;
mod commits;
mod credentials;
mod crls;
mod jobs;
mod lists;
mod news;
mod orders;
mod rest;
pub mod samples;
mod scope;
mod sealed;
mod usage;

pub use accounts::*;
pub use audit::*;
pub use claims::*;
pub use commits::*;
pub use credentials::*;
pub use crls::*;
pub use jobs::*;
pub use lists::*;
pub use news::*;
pub use orders::*;
pub use rest::*;
pub use scope::*;
pub use sealed::*;
pub use usage::*;

/// Makes one `#[tokio::test]` of each property. `$make` is an async function without arguments that returns
/// `(guard, Arc<dyn Store>)`: an empty store, and what must live as long as it is used.
#[macro_export]
macro_rules! store_suite {
    ($make:path) => {
        $crate::store_suite! { $make:
            // commits.rs
            each_expectation_that_does_not_hold_is_named_and_nothing_is_written
            each_write_that_cannot_be_made_undoes_those_before_it
            a_conflict_in_the_middle_of_many_commits_touches_only_its_own
            each_expectation_that_holds_lets_the_commit_through
            a_serial_number_is_taken_per_issuer
            a_request_key_is_taken_per_method
            a_key_counts_as_used_until_its_certificate_is_revoked
            certificates_are_read_back_as_they_were_written
            requests_are_read_back_as_they_were_written
            a_status_can_change_back_and_forth
            a_request_update_sets_what_is_given_and_leaves_the_rest
            a_deleted_request_frees_its_key
            only_pending_requests_expire
            of_many_commits_with_one_serial_exactly_one_succeeds
            an_empty_commit_changes_nothing
            // credentials.rs
            a_credential_that_is_not_usable_stops_the_commit
            a_single_use_is_granted_once_among_a_hundred
            uses_are_counted_without_a_new_version
            a_replaced_credential_keeps_its_place_and_its_uses
            credentials_are_found_by_user_name
            an_access_key_is_found_by_its_name_whatever_its_method
            an_access_key_name_is_given_once_among_many
            // usage.rs
            usages_come_in_the_order_in_which_they_are_asked_for
            a_use_says_when_first_when_last_and_from_where
            a_use_that_is_not_committed_is_not_counted
            a_replaced_credential_keeps_its_usage_and_a_new_secret_begins_anew
            notes_add_up_whatever_their_order
            a_note_of_a_credential_that_is_gone_is_passed_over
            notes_leave_the_row_and_its_version_alone
            notes_and_uses_of_many_at_once_are_all_counted
            // crls.rs
            crl_numbers_only_grow
            pruning_keeps_the_newest_crls_of_that_authority
            the_crl_lists_what_is_revoked_and_not_long_expired
            revoked_entries_come_in_pages_ordered_by_serial_number
            // jobs.rs
            a_job_is_leased_once_among_many_owners
            a_lease_that_is_over_is_taken_by_another
            jobs_are_leased_when_due_earliest_first
            a_second_request_for_a_job_keeps_the_earlier_time
            a_run_asked_for_during_the_lease_is_not_lost
            a_rescheduled_job_waits_and_remembers_its_failures
            the_next_job_is_the_earliest_of_its_kinds
            a_deleted_job_is_gone
            // lists.rs
            each_certificate_filter_selects_its_own
            each_filter_of_states_and_times_selects_its_own
            a_part_of_a_name_finds_whatever_holds_it
            request_filters_select_their_own
            credential_filters_select_their_own
            cursors_stay_while_rows_are_inserted
            a_page_has_an_upper_limit
            certificates_are_found_by_serial_number_alone
            // scope.rs
            lists_keep_to_their_methods
            pages_of_several_methods_come_in_the_order_of_all
            what_the_server_issued_to_itself_is_of_no_method
            // sealed.rs
            a_sealed_row_changes_only_from_the_version_that_was_read
            all_sealed_rows_come_ordered_by_name
            // audit.rs
            the_audit_chain_has_no_gaps_under_concurrency_and_conflicts
            audit_records_come_in_pages
            a_commit_says_where_its_audit_ended
            checkpoints_come_in_the_order_they_were_made
            check_passes
            each_audit_filter_selects_its_own
            a_query_gives_every_record_once_whatever_the_pages
            // accounts.rs
            an_account_changes_only_from_the_version_that_was_read
            an_account_key_is_taken_per_method
            of_many_accounts_with_one_key_exactly_one_is_made
            a_single_use_credential_binds_one_account_among_a_hundred
            accounts_are_read_back_as_they_were_written
            account_filters_select_their_own
            // orders.rs
            orders_are_read_back_as_they_were_written
            of_many_who_finalize_an_order_exactly_one_issues
            authorizations_that_become_valid_at_once_are_all_kept
            a_challenge_is_started_once_with_its_job
            a_changed_account_or_credential_stops_the_commit_of_its_order
            orders_of_an_account_come_in_pages
            the_order_that_replaces_a_certificate_is_the_one_that_came_furthest
            of_many_orders_that_replace_one_certificate_exactly_one_is_made
            orders_are_swept_oldest_first_a_few_at_a_time
            // rest.rs
            rest_orders_are_read_back_as_they_were_written
            an_idempotency_key_is_taken_per_method
            of_many_orders_with_one_idempotency_key_exactly_one_issues
            an_order_is_either_cancelled_or_issued
            of_many_who_fetch_a_key_exactly_one_has_it
            an_order_is_found_by_its_certificate_where_the_server_made_the_key
            the_order_that_renews_a_certificate_is_the_one_that_came_furthest
            of_many_orders_that_renew_one_certificate_exactly_one_is_made
            rest_order_filters_select_their_own
            rest_orders_come_in_pages
            rest_orders_are_swept_oldest_first_a_few_at_a_time
            // claims.rs
            a_token_is_claimed_once_among_a_hundred
            claims_of_different_scopes_are_apart_and_end
            // news.rs
            subscribers_hear_what_others_may_have_copies_of
        }
    };
    ($make:path: $($property:ident)+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $property() {
                let (_guard, store) = $make().await;
                $crate::store::suite::$property(store).await;
            }
        )+
    };
}
