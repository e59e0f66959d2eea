"""The gRPC front: the only package that knows purerpc and the generated code in `arbiter.v1`."""
