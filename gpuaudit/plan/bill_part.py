"""The report's bill section."""

from gpuaudit import schema
from gpuaudit.plan.bill import BillBook, dollars


def unpriced_part(bill: BillBook) -> list[schema.UnpricedNode]:
    """Return the nodes without a price, each with the reason."""
    return [
        schema.UnpricedNode(
            cluster=cost.node.cluster,
            node=cost.node.name,
            instance_type=cost.node.instance_type or "",
            gpus=cost.node.gpus,
            why=cost.why_unpriced,
        )
        for cost in bill.unpriced
    ]


def bill_part(bill: BillBook) -> schema.Bill:
    """Return the report's bill section."""
    return schema.Bill(
        currency="USD",
        monthly=None if bill.cents is None else dollars(bill.cents),
        by_pool=[
            schema.PoolBill(
                cluster=line.cluster,
                pool=line.pool,
                instance_type=line.instance_type,
                gpu=line.gpu,
                nodes=round(line.nodes, 4),
                gpus=round(line.gpus, 4),
                usd_monthly=dollars(line.cents),
                purchase=line.purchase,
                price_source=line.source,
                price_date=line.date,
            )
            for line in bill.lines
        ],
        unpriced_nodes=unpriced_part(bill),
    )
