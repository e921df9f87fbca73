"""First-order minimizers and the gradient flow pass the suite that every minimizer passes."""

from __future__ import annotations

from conformance.minimizer import MinimizerConformance
from evenflow.minimizer.first_order import SGD, AdaGrad, Adam, GradientDescent, RMSProp
from evenflow.minimizer.runge_kutta import RungeKutta4
from evenflow.minimizer.torch_optim import TorchOptimizer


class FirstOrderConformance(MinimizerConformance):
    gap = 1e-2
    max_steps = 3000
    solves = ("quadratic", "ring", "wells")


class TestAdam(FirstOrderConformance):
    def make(self):
        return Adam(lr=0.02)


class TestRMSProp(FirstOrderConformance):
    def make(self):
        return RMSProp(lr=0.001)


class TestSGD(FirstOrderConformance):
    def make(self):
        return SGD(lr=0.02)


class TestAdaGrad(FirstOrderConformance):
    def make(self):
        return AdaGrad(lr=0.2)


class TestGradientDescent(FirstOrderConformance):
    def make(self):
        return GradientDescent(lr=0.05)


class TestRungeKutta4(FirstOrderConformance):
    def make(self):
        return RungeKutta4()


class TestTorchOptimizer(FirstOrderConformance):
    def make(self):
        return TorchOptimizer("adam", {"lr": 0.02})
