"""`python -m locat models`: what the paper's models cost, beside what the paper says."""

import click

NOTE = """\
FLOPs are multiply-adds of convolutions, matrix products (attention, GAug's maps and PRR included) and
layer norms (5 an element, as fvcore counts); not element-wise work, so neither softmax nor GAug's kernel.
Here PRR refines only the tokens that the head reads. "PRR of all" has it refine every token: counted so,
no model is further than 0.01 G from the paper's Tab. 1, one unit of its last digit.
Jumbo: the paper's two columns are of two models. Its FLOPs are those of 6 joined tokens and a shared MLP of
ratio 4, which has 17 and 260 M parameters. Its parameters are those of 3 tokens (jumbo_tokens=3: 8.8 and
131 M, at 1.29 and 18.11 G), as Jumbo's authors release the Base, though not the Tiny; nearly also those of
6 tokens and ratio 1 (jumbo_mlp_ratio=1: 9.4 and 133 M, at 1.31 and 18.22 G). Here it is 6 and 4, as in the
LocAt authors' implementation."""


@click.command
def models() -> None:
    """Print parameters and FLOPs of the paper's models at 224 x 224, beside its Tab. 1."""
    from rich.console import Console
    from rich.table import Table

    from locat.contract.published import TAB_1
    from locat.models.cost import cost

    table = Table("model", title="Parameters and FLOPs of one 224 x 224 image")
    table.columns[0].no_wrap = True
    for column in ("params, M", "paper", "FLOPs, G", "PRR of all", "paper"):
        table.add_column(column, justify="right")
    for published in TAB_1:
        own = cost(published.model)
        flops = (f"{count / 1e9:.2f}" for count in (own.flops, own.flops_refining_all))
        table.add_row(
            published.model,
            f"{own.parameters / 1e6:.2f}",
            str(published.params),
            *flops,
            f"{published.flops:.2f}",
        )
    console = Console(highlight=False)
    console.print(table)
    console.print(NOTE, soft_wrap=True)
