// The owner of the precompiled header; never run.

int main() {}
