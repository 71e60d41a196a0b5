"""How Lightning starts and joins the processes of a run."""

from itertools import chain

from pytorch_lightning.strategies import DDPStrategy
from torch import distributed


class Processes(DDPStrategy):
    """One process a device, on one machine or several, without a wrapper around the networks.

    DistributedDataParallel expects every parameter in every backward pass, which a game of two
    networks that step in turn contradicts; the game averages its gradients by itself, a network at
    a time (`touchstone.processes.average`).
    """

    def configure_ddp(self) -> None:
        """Begins with the weights of the first process, wherever the others had theirs from."""
        assert self.model is not None
        for tensor in chain(self.model.parameters(), self.model.buffers()):
            distributed.broadcast(tensor.detach(), src=0)
