import purerpc
import arbiter.v1.notification_pb2 as arbiter_dot_v1_dot_notification__pb2


class NotificationServiceServicer(purerpc.Servicer):
    @property
    def service(self) -> purerpc.Service:
        service_obj = purerpc.Service(
            "arbiter.v1.NotificationService"
        )
        return service_obj


class NotificationServiceStub:
    def __init__(self, channel):
        self._client = purerpc.Client(
            "arbiter.v1.NotificationService",
            channel
        )