from conformance.reparametrization import LinearConformance
from evenflow.reparametrization.identity import Identity


class TestIdentity(LinearConformance):
    encode_within = 0.0

    def make(self):
        return Identity()
