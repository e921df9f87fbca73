"""Solvers from outside that evenflow is compared with, one file each family."""

from __future__ import annotations

from evenflow.comparison.peers.base import Peer
from evenflow.comparison.peers.large_steps import LargeSteps
from evenflow.comparison.peers.newton import NewtonPyamg, NewtonSuperLU
from evenflow.comparison.peers.pytorch_optimizer_peers import SOAP, AdaHessian, Muon, Shampoo
from evenflow.comparison.peers.scipy_peers import ScipyLBFGSB, ScipyNewtonCG, ScipyTrustKrylov
from evenflow.comparison.peers.torch_peers import TorchAdam, TorchAdamBest, TorchLBFGS

__all__ = ["PEERS", "Peer"]

PEERS: dict[str, Peer] = {
    peer.name: peer
    for peer in (
        ScipyLBFGSB(),
        ScipyNewtonCG(),
        ScipyTrustKrylov(),
        TorchLBFGS(),
        TorchAdam(),
        TorchAdamBest(),
        Shampoo(),
        AdaHessian(),
        SOAP(),
        Muon(),
        NewtonPyamg(),
        NewtonSuperLU(),
        LargeSteps(),
    )
}
"""Every peer by name, at its default settings."""
