"""Trains one run or a population on an order.

`loop` is the training loop from top to bottom, `job` what it trains on, and
`program` what the devices run.
"""
