"""Which test proves that a failure of the catalogue is survived.

The catalogue lists what happened to systems like ours, an item a failure. Its words are the keys
here, to the letter; the first test of each is the one to read.
"""

from typing import Final

ADAPTERS, CORE, HERE = "tests/adapters", "tests/core", "tests/catalogue"
PROCESSES, SERVICES, WIRE = "tests/integration", "tests/services", "tests/wire"

PAYMENT: Final[dict[str, tuple[str, ...]]] = {
    "invoice amount above budget": (
        f"{SERVICES}/test_market.py::test_nothing_is_spent_over_budget",
        f"{CORE}/test_offers.py::test_an_invoice_amount_above_the_limit_is_refused",
        f"{PROCESSES}/test_endings.py::test_over_the_budget_the_status_is_6",
    ),
    "amount tag ≠ invoice amount": (
        f"{CORE}/test_offers.py::test_an_amount_tag_that_differs_from_the_invoice_is_refused",
        f"{SERVICES}/test_market_payment.py::test_an_offer_with_a_defect_is_not_paid",
        f"{PROCESSES}/test_interop.py::test_bad_offers_are_told_apart_from_good_ones_and_never_paid",
    ),
    "wrong network": (
        f"{CORE}/test_offers.py::test_an_invoice_of_the_wrong_network_is_refused",
        f"{SERVICES}/test_market_payment.py::test_an_offer_with_a_defect_is_not_paid",
    ),
    "expired invoice": (
        f"{CORE}/test_offers.py::test_an_expired_invoice_is_refused_with_a_margin",
        f"{SERVICES}/test_market_payment.py::test_an_offer_with_a_defect_is_not_paid",
    ),
    "invoice from A and result from B": (
        f"{CORE}/test_order_machine.py::test_invoice_from_a_and_result_from_b_is_not_an_answer",
        f"{SERVICES}/test_market_payment.py::test_the_result_counts_from_the_provider_that_was_paid_alone",
        f"{PROCESSES}/test_interop.py::test_once_one_is_paid_nobody_else_can_end_or_answer_the_job",
    ),
    "error from C ends a job of A": (
        f"{CORE}/test_order_machine.py::test_an_error_from_c_does_not_end_a_job_of_a",
        f"{PROCESSES}/test_interop.py::test_once_one_is_paid_nobody_else_can_end_or_answer_the_job",
        f"{SERVICES}/test_market_payment.py::test_an_error_from_a_stranger_ends_nothing",
    ),
    "payment call times out, then settles": (
        f"{SERVICES}/test_market_wallet.py::test_a_payment_that_settles_after_its_call_has_timed_out_is_found",
        f"{CORE}/test_order_machine.py::test_a_payment_call_that_times_out_is_looked_up_and_settles_later",
    ),
    "a fresh invoice for the same job while the old hash is in flight": (
        f"{HERE}/test_payment_failures.py::test_a_fresh_invoice_for_the_same_job_is_not_paid_while_the_old_hash_is_in_flight",
        f"{CORE}/test_order_machine.py::test_a_fresh_invoice_while_the_old_hash_is_in_flight_is_not_paid",
    ),
    "same hash failed earlier, retry sticks": (
        f"{HERE}/test_payment_failures.py::test_a_retry_that_sticks_is_not_the_failure_that_the_same_hash_met_earlier",
        f"{ADAPTERS}/lightning/test_nwc_client.py::test_the_failure_of_an_earlier_try_is_not_that_of_this_one",
    ),
    "fee above the reserve": (
        f"{SERVICES}/test_market_payment.py::test_a_fee_above_the_reserve_is_not_paid",
    ),
    "settle twice (abort and success paths)": (
        f"{HERE}/test_payment_failures.py::test_a_hold_is_settled_once_and_never_by_both_the_abort_and_the_success_path",
        f"{CORE}/test_job_machine.py::test_settle_is_asked_for_once_and_never_with_a_cancel",
    ),
    '"paid" because a coroutine is truthy': (
        f"{HERE}/test_payment_failures.py::test_paid_because_a_coroutine_is_truthy_does_not_pass_the_type_check",
        f"{HERE}/test_payment_failures.py::test_a_payment_is_believed_for_its_preimage_and_for_nothing_else",
        f"{SERVICES}/test_market_wallet.py::test_a_success_without_its_proof_is_not_believed",
        f"{SERVICES}/test_market_wallet.py::test_a_payment_is_only_credited_on_the_wallets_word",
    ),
    "zap and invoice both trigger work": (
        f"{HERE}/test_payment_failures.py::test_a_zap_and_the_invoice_do_not_both_trigger_work",
    ),
    "hold accepted, daemon dies, restart (must finish or cancel)": (
        f"{PROCESSES}/test_held_money.py::test_a_daemon_killed_with_a_hold_accepted_finishes_the_job_when_it_is_back",
        f"{PROCESSES}/test_held_money.py::test_a_daemon_killed_with_a_hold_accepted_cancels_it_when_the_work_then_fails",
        f"{PROCESSES}/lightning/test_holding_market.py::test_a_provider_killed_while_it_holds_money_finishes_the_job",
    ),
    "HTLC deadline passes while working": (
        f"{HERE}/test_payment_failures.py::test_an_htlc_deadline_that_passes_while_working_stops_the_work_and_costs_nothing",
        f"{HERE}/test_payment_failures.py::test_a_hold_whose_htlc_deadline_passed_while_its_daemon_was_dead_goes_back",
        f"{CORE}/test_job_machine.py::test_work_starts_only_when_the_deadline_of_the_hold_leaves_room",
    ),
    "preimage lost": (
        f"{HERE}/test_payment_failures.py::test_a_preimage_lost_with_the_sellers_process_is_found_again",
        f"{HERE}/test_payment_failures.py::test_a_preimage_lost_with_the_buyers_process_is_asked_of_the_wallet_again",
        f"{CORE}/test_job_machine.py::test_nothing_is_begun_with_an_invoice_whose_preimage_is_not_known",
    ),
    "late payment after expiry": (
        f"{SERVICES}/test_market_payment.py::test_a_late_payment_after_expiry_is_owed_back",
        f"{CORE}/test_job_machine.py::test_a_late_payment_after_expiry_is_owed_back",
        f"{CORE}/test_job_machine.py::test_a_late_payment_for_a_locked_result_is_earned",
    ),
}

JOB: Final[dict[str, tuple[str, ...]]] = {
    "the same request from three relays (the original made three invoices, kept the last, and lost"
    " the payment)": (
        f"{PROCESSES}/test_relays.py::test_the_same_request_over_three_relays_is_one_invoice_one_result_one_earning",
        f"{SERVICES}/test_market_payment.py::test_the_same_request_over_three_relays_is_one_job",
    ),
    "same id with another body": (
        f"{HERE}/test_job_failures.py::test_the_same_id_with_another_body_is_not_worked_on",
        f"{SERVICES}/test_relay_pool.py::test_a_true_signature_under_another_text_is_not_heard_even_if_the_id_is_known",
    ),
    "replay of an old job": (
        f"{SERVICES}/test_market_job.py::test_the_replay_of_an_old_job_changes_nothing",
    ),
    "cancel mid-run": (
        f"{CORE}/test_job_machine.py::test_a_cancel_in_mid_run_stops_the_work_and_owes_what_was_paid",
        f"{SERVICES}/test_market_modes.py::test_a_cancel_in_mid_run_gives_back_what_is_held",
        f"{SERVICES}/test_market.py::test_a_job_called_off_while_it_is_worked_on_stops_the_work",
    ),
    "two providers both deliver": (
        f"{SERVICES}/test_market_job.py::test_two_providers_both_deliver_and_the_first_answer_counts",
        f"{CORE}/test_order_machine.py::test_of_two_providers_that_both_deliver_the_first_counts",
    ),
    "success with empty content": (
        f"{HERE}/test_job_failures.py::test_success_with_empty_content_is_no_answer_to_what_was_paid",
        f"{SERVICES}/test_market_job.py::test_an_answer_without_content_is_no_answer",
        f"{SERVICES}/test_market_job.py::test_an_answer_that_no_event_can_hold_fails_the_job",
    ),
    "result before feedback, feedback after result": (
        f"{SERVICES}/test_market_job.py::test_a_result_before_any_feedback_is_an_answer",
        f"{SERVICES}/test_market_payment.py::test_an_answer_that_overtakes_the_wallets_word_is_kept",
    ),
    '"delivered, unpaid" told apart from "failed"': (
        f"{HERE}/test_job_failures.py::test_delivered_and_unpaid_ends_as_another_thing_than_failed",
        f"{CORE}/test_job_machine.py::test_delivered_and_never_paid_is_told_apart_from_failed",
        f"{CORE}/explain/test_explain.py::test_a_sold_job_says_where_the_money_is",
    ),
    "job arrived while we were down": (
        f"{SERVICES}/test_market_job.py::test_a_job_that_came_while_its_provider_was_down_is_served",
        f"{PROCESSES}/test_relays.py::test_a_job_that_came_while_nobody_was_there_is_served_later",
    ),
    "unsupported kind or model": (
        f"{CORE}/test_admission.py::test_a_kind_no_backend_can_do_is_refused_even_when_configured",
        f"{CORE}/test_admission.py::test_a_model_or_backend_we_do_not_have_is_refused_by_name",
        f"{SERVICES}/test_market_job.py::test_what_cannot_be_done_is_refused_with_the_reason",
    ),
    "oversized input, garbage tags, one megabyte of tags": (
        f"{SERVICES}/test_market_job.py::test_an_oversized_input_is_refused_before_any_work",
        f"{SERVICES}/test_market_job.py::test_garbage_is_dropped_and_the_next_job_served",
        f"{HERE}/test_job_failures.py::test_one_megabyte_of_tags_is_not_worked_on_nor_kept_and_the_next_job_is_served",
        f"{WIRE}/test_jobs.py::test_longer_tags_than_anyone_needs_are_refused",
    ),
    "created_at far in the future or past": (
        f"{HERE}/test_job_failures.py::test_a_created_at_far_in_the_past_or_future_is_not_worked_on_and_shadows_no_later_job",
        f"{SERVICES}/test_market_job.py::test_a_request_from_the_future_is_refused",
        f"{SERVICES}/test_market_job.py::test_an_old_request_that_nobody_waits_for_is_passed_over",
    ),
    "text cut inside a multi-byte character": (
        f"{ADAPTERS}/inference/test_openai.py::test_a_character_split_over_two_packets_arrives_whole",
        f"{ADAPTERS}/inference/test_stream.py::test_a_token_cut_inside_a_character_shows_where",
    ),
    "control characters in a model's answer": (
        f"{SERVICES}/test_market_job.py::test_control_characters_in_an_answer_are_not_signed",
    ),
}

SURVIVED: Final = {"Payment": PAYMENT, "Job": JOB}


def as_markdown(heading: str, survived: dict[str, tuple[str, ...]]) -> str:
    """Write a part of the table as docs/reliability.md has it."""
    lines = [f"**{heading}**", ""]
    for item, tests in survived.items():
        first, *more = (test.removeprefix("tests/") for test in tests)
        lines.append(f"- {item}: `{first}`" + "".join(f", `{test}`" for test in more))
    return "\n".join(lines)
