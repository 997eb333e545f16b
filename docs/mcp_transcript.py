"""The conversation in docs/mcp.md, held by the Python client of the Model Context Protocol (`pip install mcp`).

Usage: mcp_transcript.py ASKANCE|URL. With a program it speaks over stdio, with a URL over HTTP.
"""

import asyncio, importlib.metadata, json, os, sys

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client


async def talk(session):
    hello = await session.initialize()
    print(f"> initialize (client: Python package mcp {importlib.metadata.version('mcp')})")
    print(f"{hello.server_info.name} {hello.server_info.version}, protocol {hello.protocol_version}")
    print("\n> tools/list")
    for tool in (await session.list_tools()).tools:
        print(tool.name, json.dumps(sorted(tool.input_schema.get("properties", {}))))

    async def call(name, **arguments):
        print(f"\n> {name} {json.dumps(arguments)}")
        result = await session.call_tool(name, arguments)
        for content in result.content:
            print(("(error) " if result.is_error else "") + content.text.rstrip())
        return result.structured_content

    question = {"query": "which winter vegetable", "limit": 1}
    first = await call("search", **question)
    if first["next_cursor"]:
        await call("search", **question, cursor=first["next_cursor"])
    found = await call("search", query="when is the boiler serviced", types=["md"])
    await call("get_passage", passage=found["results"][0]["passage"], around=1)
    await call("get_document", path="code/retry.py")
    await call("get_document", path="/etc/passwd")
    await call("search", query="boiler", after="soon")
    await call("list_collections")
    await call("status")
    print("\nThe second search as data:")
    print(json.dumps(found, indent=2, ensure_ascii=False))


async def main():
    target = sys.argv[1]
    if target.startswith("http"):
        async with streamable_http_client(target) as streams, ClientSession(streams[0], streams[1]) as session:
            await talk(session)
    else:
        server = StdioServerParameters(command=target, args=["mcp"], env=dict(os.environ))
        async with stdio_client(server) as streams, ClientSession(*streams) as session:
            await talk(session)


asyncio.run(main())
