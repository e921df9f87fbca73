from conformance.reparametrization import ReparametrizationConformance
from evenflow.reparametrization.identity import Identity


class TestIdentity(ReparametrizationConformance):
    encode_within = 0.0

    def make(self):
        return Identity()
