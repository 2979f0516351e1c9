/** Lists come in pages; this reads them all, for lists that stay small, and in steps, for lists that do not. */
import { useInfiniteQuery } from "@tanstack/react-query";
import { useMemo } from "react";

export interface Page<T> {
  items: T[];
  nextPageToken: string;
}

export async function allPages<T>(read: (pageToken: string) => Promise<Page<T>>, limit = 2000): Promise<T[]> {
  const items: T[] = [];
  let pageToken = "";
  do {
    const page = await read(pageToken);
    items.push(...page.items);
    pageToken = page.nextPageToken;
  } while (pageToken && items.length < limit);
  return items;
}

export interface PagedList<T> {
  items: T[];
  loading: boolean;
  error: Error | null;
  more: (() => void) | undefined;
  loadingMore: boolean;
  again: () => void;
}

/** With `againMs` it is read again that often while it is shown. */
export function usePagedList<T>(
  key: readonly unknown[],
  read: (pageToken: string) => Promise<Page<T>>,
  againMs?: number,
): PagedList<T> {
  const query = useInfiniteQuery({
    queryKey: key,
    queryFn: ({ pageParam }) => read(pageParam),
    initialPageParam: "",
    getNextPageParam: (last) => last.nextPageToken || undefined,
    refetchInterval: againMs ?? false,
  });
  const items = useMemo(() => query.data?.pages.flatMap((page) => page.items) ?? [], [query.data]);
  return {
    items,
    loading: query.isPending,
    error: query.error,
    more: query.hasNextPage ? () => void query.fetchNextPage() : undefined,
    loadingMore: query.isFetchingNextPage,
    again: () => void query.refetch(),
  };
}
