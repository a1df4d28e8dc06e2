from __future__ import annotations

import queue
import threading

import pytest

from llmgate import BlockingPipeline, GatewayClosedError, ModelNotFoundError

MESSAGES = [{"role": "user", "content": "one two three"}]


def test_the_same_methods_work_without_an_event_loop() -> None:
    with BlockingPipeline.from_config(environment={}) as pipeline:
        answer = pipeline.complete(model="echo", messages=MESSAGES)
        assert "one two three" in answer.text
        with pipeline.stream(model="echo", messages=MESSAGES) as chunks:
            pieces = [chunk.text for chunk in chunks]
        assert "".join(pieces) == chunks.text == answer.text
        assert chunks.usage is not None
        assert chunks.finish_reason == "stop"
        assert chunks.exchange.outcome == "ok"
        with pipeline.stream_response(model="echo", input="one two three") as events:
            kinds = [event["type"] for event in events]
        assert (kinds[0], kinds[-1]) == ("response.created", "response.completed")
        assert events.text == pipeline.respond(model="echo", input="one two three").text
        assert pipeline.models()


def test_errors_are_the_same() -> None:
    with BlockingPipeline.from_config(environment={}) as pipeline, pytest.raises(ModelNotFoundError):
        pipeline.complete(model="groq/unknown", messages=MESSAGES)


def test_several_threads_may_use_one_pipeline() -> None:
    answers: list[str] = []
    with BlockingPipeline.from_config(environment={}) as pipeline:
        threads = [
            threading.Thread(target=lambda: answers.append(pipeline.complete(model="echo", messages=MESSAGES).text))
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(answers) == 8


def test_outside_of_its_block_it_says_what_to_write() -> None:
    pipeline = BlockingPipeline.from_config(environment={})
    with pytest.raises(RuntimeError, match="inside `with`"):
        pipeline.complete(model="echo", messages=MESSAGES)
    with pipeline, pytest.raises(RuntimeError, match="open already"):
        pipeline.open()
    pipeline.close()


def test_its_thread_is_gone_afterwards() -> None:
    before = threading.active_count()
    with BlockingPipeline.from_config(environment={}):
        assert threading.active_count() == before + 1
    assert threading.active_count() == before


def test_closing_it_cuts_what_other_threads_wait_for() -> None:
    pipeline = BlockingPipeline.from_config(environment={})
    pipeline.open()
    waiting: queue.Queue[Exception | str] = queue.Queue()

    def ask() -> None:
        try:
            with pipeline.stream(model="echo?words=9000&word-delay=60", messages=MESSAGES) as chunks:
                next(chunks)
                waiting.put("begun")
                list(chunks)
        except Exception as failure:
            waiting.put(failure)

    thread = threading.Thread(target=ask)
    thread.start()
    assert waiting.get(timeout=5) == "begun"
    pipeline.close()
    thread.join()
    assert isinstance(waiting.get(), GatewayClosedError | RuntimeError)
    assert pipeline.loop is None
