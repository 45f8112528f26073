# For scripts of nbdsh that fill a disk until it refuses: they come after this, in the same input.
import errno, random

class Filler:
    def __init__(self, disk, block, refusals):
        self.disk, self.block, self.refusals = disk, block, refusals
        self.noise = random.Random(1).randbytes(2 * block)

    def data(self, i):
        return self.noise[i * 64 % self.block:][:self.block]

    def fill(self, start=0):
        """Writes blocks from this one on; the first that was refused."""
        for i in range(start, self.disk.get_size() // self.block):
            try:
                self.disk.pwrite(self.data(i), i * self.block)
            except nbd.Error as error:
                assert error.errnum in self.refusals, error
                return i
        assert False, "the whole disk fits"
