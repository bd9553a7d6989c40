"""One page: snapshot → outcomes → plan → Report."""

from collections.abc import Mapping

from gpuaudit import __version__, demand, schema
from gpuaudit.closing import closed
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.config import Config, with_roles, with_timezone
from gpuaudit.knowledge import facts
from gpuaudit.outcome import evaluate
from gpuaudit.plan.actions import actions
from gpuaudit.plan.attribution import node_shares
from gpuaudit.plan.bill import bill
from gpuaudit.plan.bill_part import bill_part
from gpuaudit.plan.commitments import with_commitments
from gpuaudit.plan.coverage_part import clusters_part, coverage_part, sum_part
from gpuaudit.plan.findings_part import findings_part, proposed_nodes, raised, regained_gpus
from gpuaudit.plan.optouts import OptOuts
from gpuaudit.plan.owners import Owners, with_owners
from gpuaudit.plan.pricebook import PriceBook
from gpuaudit.plan.release import plan_release
from gpuaudit.plan.release_part import plan_part
from gpuaudit.plan.served_part import served_part
from gpuaudit.plan.utilization import observed_ratio, utilization
from gpuaudit.rule import Rule, Severity
from gpuaudit.stack import stack_part


def audit(snapshot: Snapshot, rules: Mapping[str, Rule], config: Config, book: PriceBook) -> schema.Report:
    """Judge the snapshot and return the report; the same inputs give the same report.

    `config.rules` holds options already checked against the signatures (config.rule_options).
    """
    snapshot = with_owners(with_commitments(with_roles(snapshot, config), book), config.ownership)
    options = with_timezone(config.rules, rules, config.timezone)
    outcomes = evaluate(snapshot, rules, options=options, opted_out=OptOuts(snapshot, config).of)
    judged = [
        finding
        for outcome in outcomes
        for finding in outcome.findings
        if not config.namespace or finding.finding.subject.namespace in config.namespace
    ]
    hurting = {finding.id for finding in judged if finding.severity is Severity.HIGH}
    money = bill(snapshot, book)
    release = plan_release(snapshot, money, book, proposed=proposed_nodes(snapshot, judged), scarce=config.scarce)
    judged = raised(judged, release, money.cents)
    owners = Owners(snapshot, config.ownership)
    tenures = demand.tenures(snapshot)
    shares = node_shares(snapshot, tenures)
    clusters = clusters_part(snapshot)
    report = schema.Report(
        schema=schema.SCHEMA,
        tool_version=__version__,
        taken_at=snapshot.taken_at,
        window=schema.WindowPart(start=snapshot.window.start, end=snapshot.window.end, seconds=snapshot.window_seconds),
        cluster=sum_part(clusters),
        clusters=clusters,
        coverage=coverage_part(
            snapshot, outcomes, observed=observed_ratio(tenures, shares), how=lambda fact: facts.fact(fact).how
        ),
        utilization=utilization(snapshot, tenures, shares, money, bucket=demand.bucket, owner_of=owners.of),
        bill=bill_part(money),
        serving=served_part(snapshot, tenures, shares, money),
        answers=[],
        actions=actions(
            snapshot,
            judged,
            attributed=release.attributed,
            owner_of=owners.of,
            hurts=lambda finding: finding.id in hurting,
        ),
        findings=findings_part(judged, release),
        plan=plan_part(snapshot, money, release, regained_gpus=regained_gpus(snapshot, judged, release)),
        tiers=[],
        decisions=[],
        stack=stack_part(snapshot, judged),
        monday=[],
        objects=[],
    )
    judged_areas = {outcome.rule.area for outcome in outcomes if not outcome.missing}
    return closed(snapshot, report, judged=judged_areas)
