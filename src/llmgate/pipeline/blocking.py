"""The Pipeline for synchronous code: the same methods, run on one event loop in a background thread."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Coroutine, Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from llmgate.spec import ChatRequest, FinishReason, GatewayChunk, GatewayClosedError, Record, Usage

from .checkup import Checkup
from .completion import AnswerStream, Completion, Embeddings
from .models import ModelEntry
from .operations import Carried
from .pipeline import Pipeline

if TYPE_CHECKING:
    from .construction import Source

__all__ = ["BlockingPipeline", "BlockingStream"]

T = TypeVar("T")


class BlockingPipeline:
    """A Pipeline for synchronous code: ``with BlockingPipeline.from_config(...) as p: p.complete(...)``.

    It may be used from several threads at once.

    Args:
        pipeline: The pipeline to run.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._work: set[asyncio.Future[Any]] = set()
        self._gate = threading.Lock()
        self._closing = False

    @classmethod
    def from_config(cls, source: Source = None, **options: Any) -> BlockingPipeline:
        """Assemble one; the arguments are those of ``Pipeline.from_config``."""
        return cls(Pipeline.from_config(source, **options))

    @property
    def pipeline(self) -> Pipeline:
        """The pipeline that it runs; its coroutines belong on ``loop``."""
        return self._pipeline

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The background loop, None while the pipeline is not open."""
        return self._loop

    def adopt(self, work: asyncio.Future[Any]) -> None:
        """Cut work of the background loop when the pipeline is closed, unless it has ended by then."""
        self._work.add(work)
        work.add_done_callback(self._work.discard)

    def submit(self, work: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        """Run work on the background loop, to be cut when the pipeline is closed; from any thread.

        Raises:
            RuntimeError: the pipeline has not been opened.
            GatewayClosedError: it is being closed.
        """
        with self._gate:
            if self._loop is not None and not self._closing:
                return asyncio.run_coroutine_threadsafe(self._adopted(work), self._loop)
        work.close()
        if self._closing:
            raise GatewayClosedError("the pipeline is being closed: it takes no more requests")
        raise RuntimeError("the pipeline is not open: use it inside `with`")

    def open(self) -> None:
        """Start the background loop and open the pipeline on it."""
        if self._thread is not None:
            raise RuntimeError("the pipeline is open already")
        loop = self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=loop.run_forever, name="llmgate", daemon=True)
        self._thread.start()
        try:
            self._run(self._pipeline.open())
        except BaseException:
            self._stop()
            raise

    def close(self) -> None:
        """Cut what other threads still wait for, close the pipeline and stop the loop. Idempotent."""
        with self._gate:
            if self._loop is None or self._closing:
                return
            self._closing = True  # whatever is submitted from here on is refused, so that nothing waits for ever
            ending = asyncio.run_coroutine_threadsafe(self._end(), self._loop)
        try:
            ending.result()
        finally:
            self._stop()

    def reload(self, source: Source = None) -> None:
        """Read the configuration again and serve by it; see ``Pipeline.reload``."""
        self._run(self._pipeline.reload(source))

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def complete(self, request: ChatRequest | None = None, /, **fields: Any) -> Completion:
        """Ask for a whole chat answer; see ``Pipeline.complete``."""
        return self._run(self._pipeline.complete(request, **fields))

    def stream(self, request: ChatRequest | None = None, /, **fields: Any) -> BlockingStream[GatewayChunk]:
        """Ask for a streamed chat answer: ``with p.stream(...) as chunks``; see ``Pipeline.stream``."""
        return BlockingStream(self, self._pipeline.stream(request, **fields))

    def respond(self, **fields: Any) -> Completion:
        """Ask for an answer as OpenAI's Responses have it; see ``Pipeline.respond``."""
        return self._run(self._pipeline.respond(**fields))

    def stream_response(self, **fields: Any) -> BlockingStream[dict[str, Any]]:
        """Ask for a streamed answer as OpenAI's Responses have it; see ``Pipeline.stream_response``."""
        return BlockingStream(self, self._pipeline.stream_response(**fields))

    def embed(self, **fields: Any) -> Embeddings:
        """Ask for embeddings; see ``Pipeline.embed``."""
        return self._run(self._pipeline.embed(**fields))

    def generate_images(self, **fields: Any) -> Carried:
        """Ask for images; see ``Pipeline.generate_images``."""
        return self._run(self._pipeline.generate_images(**fields))

    def edit_image(self, **fields: Any) -> Carried:
        """Ask for an image made of another; see ``Pipeline.edit_image``."""
        return self._run(self._pipeline.edit_image(**fields))

    def vary_image(self, **fields: Any) -> Carried:
        """Ask for variations of an image; see ``Pipeline.vary_image``."""
        return self._run(self._pipeline.vary_image(**fields))

    def speak(self, **fields: Any) -> Carried:
        """Ask for speech; see ``Pipeline.speak``."""
        return self._run(self._pipeline.speak(**fields))

    def transcribe(self, **fields: Any) -> Carried:
        """Ask for the text of a recording; see ``Pipeline.transcribe``."""
        return self._run(self._pipeline.transcribe(**fields))

    def translate(self, **fields: Any) -> Carried:
        """Ask for the English text of a recording; see ``Pipeline.translate``."""
        return self._run(self._pipeline.translate(**fields))

    def moderate(self, **fields: Any) -> Carried:
        """Ask whether something is harmful; see ``Pipeline.moderate``."""
        return self._run(self._pipeline.moderate(**fields))

    def rerank(self, **fields: Any) -> Carried:
        """Ask for documents in the order in which they fit; see ``Pipeline.rerank``."""
        return self._run(self._pipeline.rerank(**fields))

    def upload_file(self, **fields: Any) -> Carried:
        """Give a provider a file to keep; see ``Pipeline.upload_file``."""
        return self._run(self._pipeline.upload_file(**fields))

    def list_files(self, **fields: Any) -> Carried:
        """Ask for a provider's files; see ``Pipeline.list_files``."""
        return self._run(self._pipeline.list_files(**fields))

    def retrieve_file(self, file_id: str, **options: Any) -> Carried:
        """Ask what a provider says of a file; see ``Pipeline.retrieve_file``."""
        return self._run(self._pipeline.retrieve_file(file_id, **options))

    def file_content(self, file_id: str, **options: Any) -> Carried:
        """Ask what is in a file; see ``Pipeline.file_content``."""
        return self._run(self._pipeline.file_content(file_id, **options))

    def delete_file(self, file_id: str, **options: Any) -> Carried:
        """Have a provider forget a file; see ``Pipeline.delete_file``."""
        return self._run(self._pipeline.delete_file(file_id, **options))

    def create_upload(self, **fields: Any) -> Carried:
        """Begin a file that comes in parts; see ``Pipeline.create_upload``."""
        return self._run(self._pipeline.create_upload(**fields))

    def add_upload_part(self, upload_id: str, **fields: Any) -> Carried:
        """Give the next part of a file; see ``Pipeline.add_upload_part``."""
        return self._run(self._pipeline.add_upload_part(upload_id, **fields))

    def complete_upload(self, upload_id: str, **fields: Any) -> Carried:
        """Make a file of its parts; see ``Pipeline.complete_upload``."""
        return self._run(self._pipeline.complete_upload(upload_id, **fields))

    def cancel_upload(self, upload_id: str, **options: Any) -> Carried:
        """Give up a file that comes in parts; see ``Pipeline.cancel_upload``."""
        return self._run(self._pipeline.cancel_upload(upload_id, **options))

    def create_batch(self, **fields: Any) -> Carried:
        """Have requests made together; see ``Pipeline.create_batch``."""
        return self._run(self._pipeline.create_batch(**fields))

    def list_batches(self, **fields: Any) -> Carried:
        """Ask for a provider's batches; see ``Pipeline.list_batches``."""
        return self._run(self._pipeline.list_batches(**fields))

    def retrieve_batch(self, batch_id: str, **options: Any) -> Carried:
        """Ask how far a batch is; see ``Pipeline.retrieve_batch``."""
        return self._run(self._pipeline.retrieve_batch(batch_id, **options))

    def cancel_batch(self, batch_id: str, **options: Any) -> Carried:
        """Stop a batch; see ``Pipeline.cancel_batch``."""
        return self._run(self._pipeline.cancel_batch(batch_id, **options))

    def models(self, **options: Any) -> Sequence[ModelEntry]:
        """The models that the caller may ask for; see ``Pipeline.models``."""
        return self._run(self._pipeline.models(**options))

    def health(self, **options: Any) -> Sequence[Checkup]:
        """The health of every deployment that has been asked; see ``Pipeline.health``."""
        return self._run(self._pipeline.health(**options))

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        future = self.submit(work)
        try:
            return future.result()
        except concurrent.futures.CancelledError:
            raise GatewayClosedError("the pipeline was closed before the answer was whole") from None
        except BaseException:
            future.cancel()  # a KeyboardInterrupt here must not leave the work running there
            raise

    async def _adopted(self, work: Coroutine[Any, Any, T]) -> T:
        task = asyncio.current_task()
        assert task is not None, "work runs in a task"
        self.adopt(task)
        return await work

    async def _end(self) -> None:
        """Cut all work and let it settle before the pipeline closes, so that no thread waits for ever."""
        work = self._work - {asyncio.current_task()}
        for one in work:
            one.cancel()
        if work:
            await asyncio.wait(work)
        await self._pipeline.aclose()

    def _stop(self) -> None:
        loop, thread = self._loop, self._thread
        self._loop = self._thread = None
        self._closing = False
        if loop is not None and thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()


class BlockingStream(Generic[T]):
    """A streamed answer for synchronous code; iterate it inside its ``with`` block.

    Args:
        owner: The pipeline on whose loop it runs.
        stream: The stream.
    """

    def __init__(self, owner: BlockingPipeline, stream: AnswerStream[T]) -> None:
        self._owner = owner
        self._stream = stream

    def __enter__(self) -> Self:
        self._owner._run(self._stream.__aenter__())  # noqa: SLF001 - one class in two halves
        return self

    def __exit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._owner._run(self._stream.__aexit__(kind, failure, traceback))  # noqa: SLF001 - one class in two halves

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        try:
            return self._owner._run(self._stream.__anext__())  # noqa: SLF001 - one class in two halves
        except StopAsyncIteration:
            raise StopIteration from None

    @property
    def text(self) -> str:
        """The text of the first answer so far."""
        return self._stream.text

    @property
    def usage(self) -> Usage | None:
        """Tokens, once the provider has said."""
        return self._stream.usage

    @property
    def finish_reason(self) -> FinishReason | None:
        """Why the first answer ended, once it has."""
        return self._stream.finish_reason

    @property
    def exchange(self) -> Record:
        """The account of the exchange; complete after the block."""
        return self._stream.exchange
