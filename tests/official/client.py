"""The official SDK as a program that `tests/official` asks: a question in JSON on a line, its answer on a line.

`client.py [URL]`: URL is the chain to connect to. `ask` names the function that answers, the rest are its arguments. A
question that fails ends the program with the SDK's own traceback.
"""

import asyncio
import json
import os
import sys
import time
from importlib.metadata import version
from pathlib import Path

import bittensor
import bittensor_core
from bittensor import calls, timelock

NETUID = 99


async def versions(chain):
    return {name: version(name) for name in ("bittensor", "bittensor-core")}


async def write_wallet(chain, folder, name, uri):
    """A hotkey file as the official wallet writes it; the hotkey."""
    pair = bittensor_core.Keypair.create_from_uri(uri)
    file = Path(folder) / name / "hotkeys" / "default"
    file.parent.mkdir(parents=True)
    file.write_bytes(bittensor_core.serialized_keypair_to_keyfile_data(pair))
    os.chmod(file, 0o600)
    return pair.ss58_address


def wallet_of(folder, name):
    return bittensor.Wallet(name=name, hotkey="default", path=folder)


async def metagraph(chain):
    graph = await chain.subnets.metagraph(NETUID)
    neurons = [
        {
            "uid": neuron.uid,
            "hotkey": neuron.hotkey,
            "validator_permit": neuron.validator_permit,
            "last_update": neuron.last_update,
            "stake": neuron.total_stake.rao,
        }
        for neuron in graph
    ]
    return {"block": graph.block, "tempo": graph.tempo, "owner": graph.owner_hotkey, "neurons": neurons}


async def weights(chain):
    """Rows of weights by validator, each a list of (uid, fraction)."""
    return {uid: sorted(row.items()) for uid, row in (await chain.weights.weights(NETUID)).items()}


async def pending_commits(chain):
    """Sealed weights that wait for their reveal."""
    epochs = await chain.weights.timelocked_weight_commits(NETUID)
    return [
        {**{name: commit[name] for name in ("hotkey", "commit_block", "reveal_round", "ciphertext")}, "epoch": epoch}
        for epoch, commits in epochs.items()
        for commit in commits
    ]


def sealed_to(round_):
    """`get_encrypted_commit_v2`, but for the block time all as it was asked for, so that it seals to a round of the past.

    The core counts the round as (clock + blocks ahead * block time - genesis) / period and reads the clock itself, so a
    block time below zero leads back to a round whose signature is published.
    """
    original = bittensor_core.get_encrypted_commit_v2

    def seal(**arguments):
        def commit(block_time):
            return original(**{**arguments, "block_time": block_time})

        probe = 30_000.0
        blocks = round((commit(0.0)[1] - commit(-probe)[1]) * timelock.QUICKNET_PERIOD / probe)
        back = int(time.time()) - (timelock.QUICKNET_GENESIS + timelock.QUICKNET_PERIOD * round_)
        sealed, found = commit(-back / blocks)
        assert found == round_, f"{blocks} blocks ahead led to round {found} instead of {round_}"
        return sealed, found

    return seal


async def set_weights(chain, folder, name, weights, reveal_round=None):
    """By the SDK's own call, which commits where the subnet asks for it. Without a round the SDK takes one."""
    original = bittensor_core.get_encrypted_commit_v2
    if reveal_round is not None:
        bittensor_core.get_encrypted_commit_v2 = sealed_to(reveal_round)
    try:
        intent = bittensor.SetWeights(netuid=NETUID, weights=weights)
        result = (await chain.execute(intent, wallet_of(folder, name))).raise_for_failure()
    finally:
        bittensor_core.get_encrypted_commit_v2 = original
    return {"extrinsic": result.extrinsic_id, "reveal_round": result.data.get("reveal_round")}


async def commitments(chain):
    """What every hotkey committed, as the SDK shows it."""
    found = {}
    for hotkey, commitment in (await chain.subnets.commitments(NETUID)).items():
        opens = commitment.reveals_at and int(commitment.reveals_at.timestamp())
        found[hotkey] = {
            "status": commitment.status,
            "value": commitment.value,
            "reveal_round": commitment.reveal_round,
            "opens_at": opens,
        }
    return found


async def commit(chain, folder, name, text, reveal_round=None):
    """A commitment, plain or sealed to a round."""
    if reveal_round is None:
        field = {f"Raw{len(text)}": text.encode()}
    else:
        framed = bytes([len(text) << 2]) + text.encode()
        envelope, _ = bittensor_core.encrypt_at_round(framed, reveal_round)
        sealed = bittensor_core.inner_ciphertext(envelope)
        field = {"TimelockEncrypted": {"encrypted": sealed, "reveal_round": reveal_round}}
    call = calls.Commitments.set_commitment(netuid=NETUID, info={"fields": [[field]]})
    result = await chain.submit_call(call, wallet_of(folder, name), signer="hotkey")
    return result.raise_for_failure().extrinsic_id


async def seal(chain, message, round):
    envelope, _ = bittensor_core.encrypt_at_round(bytes.fromhex(message), round)
    return bittensor_core.inner_ciphertext(envelope).hex()


async def seal_weights(chain, hotkey, uids, values, version_key, round):
    """What a validator with the official SDK commits."""
    sealed, _ = sealed_to(round)(
        uids=uids, weights=values, version_key=version_key, last_epoch_block=1000, pending_epoch_at=0,
        subnet_epoch_index=10, tempo=360, blocks_since_last_step=100, current_block=1100,
        subnet_reveal_period_epochs=1, hotkey=bytes.fromhex(hotkey),
    )
    return sealed.hex()


async def unseal(chain, sealed, round, signature):
    """Opens bare sealed bytes. The core wants them as `encrypt_at_round` gives them: after their length, before the round."""
    sealed = bytes.fromhex(sealed)
    length = (len(sealed) << 2 | 1).to_bytes(2, "little")
    return bittensor_core.decrypt_with_signature(length + sealed + round.to_bytes(8, "little"), signature).hex()


QUESTIONS = {
    question.__name__: question
    for question in (
        versions, write_wallet, metagraph, weights, pending_commits, set_weights, commitments, commit, seal,
        seal_weights, unseal,
    )
}


async def answer(chain):
    # The loop goes on while a question is awaited, so that the connection is kept alive.
    while line := await asyncio.to_thread(sys.stdin.readline):
        question = json.loads(line)
        print(json.dumps(await QUESTIONS[question.pop("ask")](chain, **question)), flush=True)


async def main():
    if not sys.argv[1:]:
        return await answer(None)
    async with bittensor.Subtensor(network=sys.argv[1]) as chain:
        await answer(chain)


asyncio.run(main())
