"""Opens and closes connections, one after the other, each of which asks for the size: what
`nbdinfo --size` does, without a process for each.

  connect.py COUNT URI
"""

import sys

import nbd


def main():
    for _ in range(int(sys.argv[1])):
        client = nbd.NBD()
        client.connect_uri(sys.argv[2])
        client.get_size()
        client.shutdown()


main()
