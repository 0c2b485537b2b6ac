from forebay.cli.torture import Ledger, Outcome


def test_a_batch_is_unanswered_until_it_is_answered() -> None:
    ledger = Ledger(2)
    first, second = ledger.senders
    assert [first.begin(3), first.begin(500), second.begin(1)] == [0, 1, 0]
    first.settle(1, Outcome.ACKNOWLEDGED)
    second.settle(0, Outcome.REFUSED)
    assert [first.outcome(0), first.outcome(1), second.outcome(0)] == [
        Outcome.UNANSWERED,
        Outcome.ACKNOWLEDGED,
        Outcome.REFUSED,
    ]
    assert first.size(1) == 500
    assert [ledger.count(outcome) for outcome in Outcome] == [(1, 3), (1, 500), (1, 1)]
