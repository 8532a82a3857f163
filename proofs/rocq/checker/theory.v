(******************************************************************************)
(*      The layers that are run are those of the theory                       *)
(*                                                                            *)
(* What the evaluator makes of a well-formed convolution is the right side of *)
(* cnn_layer in cnn.v: conv2d of the padded input, and a bias per channel.    *)
(* What enters it is the sum of the earlier values times their strengths, as  *)
(* in cnn_feed, the skips having the shape already.                           *)
(*                                                                            *)
(*   image_of x == the list x as a function on positions                      *)
(*   kernel_of ks == the rows ks as a kernel                                  *)
(******************************************************************************)
From mathcomp Require Import all_ssreflect all_algebra.
From Coq Require List PeanoNat.
From AlgebraicCNN Require Import flatten pattern padding correlation.
From AlgebraicCNN.checker Require Import evaluator patterns shapes bridge sums notations.
Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.
Import GRing.Theory.
Local Open Scope ring_scope.

Lemma fitsP m n a : fits m n a ->
  [/\ (0 < n)%N, (0 < extent a)%N, (0 < stride a)%N & (dilation a * (extent a).-1 < before a + n + after a)%N].
Proof.
rewrite /fits !ltbE multE minusE !plusE subn1.
by move=> /andP [/andP [/andP [/andP [/andP [-> ->] ->] _] ->] _].
Qed.
Lemma nth_pattern m n a t u : (t < extent a)%N -> (u < patterns.size n a)%N ->
  List.nth u (List.nth t (patterns.pattern m n a) nil) None = source m n (before a) (u * stride a + t * dilation a)%N.
Proof.
move=> tN uN; rewrite /patterns.pattern (nth_maps _ 0%N) ?List.seq_length //.
rewrite (nth_maps _ 0%N) ?List.seq_length // !List.seq_nth //; exact/ltP.
Qed.

Lemma insub_ord n k (kn : (k < n)%N) : insub k = Some (Ordinal kn) :> option 'I_n.
Proof. exact: (insubT (fun i => i < n)%N kn). Qed.

Section Theory.
Variable K : comRingType.

Definition image_of c h w (x : list (list (list K))) (p : 'I_c * 'I_h * 'I_w) : K := entry x p.1.1 p.1.2 p.2.
Definition kernel_of co cg kh kw (ks : list (list K)) (o : 'I_co) (i : 'I_cg) (a : 'I_kh) (b : 'I_kw) : K :=
  num (row ks o) (i * (kh * kw) + (a * kw + b))%N.

Section Layer.
Variables (fs : list (nat * K)) (m : mode) (va ha : axis) (g : nat) (ks : list (list K)) (bs : list K).
Variables (x : list (list (list K))) (c h w co : nat).
Let oh := patterns.size h va.
Let ow := patterns.size w ha.
Let l := Layer fs (patterns.pattern m h va) (patterns.pattern m w ha) g ks bs.
Hypotheses (xs : shaped_as (c, h, w) x) (c0 : (0 < c)%N) (g0 : (0 < g)%N) (gc : (g %| c)%N) (go : (g %| co)%N).
Hypotheses (fv : fits m h va) (fh : fits m w ha) (Lks : length ks = co) (Lb : length bs = co).
Hypothesis Lk : List.Forall (fun k => length k = (c %/ g * (extent va * extent ha))%N) ks.

Theorem conv_is_cnn_layer (o : 'I_co * 'I_oh * 'I_ow) :
  image_of (conv 0 1 plus mult l x) o =
  conv2d (g := g) (stride va) (stride ha) (dilation va) (dilation ha)
    (@kernel_of co (c %/ g) (extent va) (extent ha) ks)
    (pad2 (mode_of m) (top := before va) (bottom := after va) (left := before ha) (right := after ha)
       (@image_of c h w x)) o
  + num bs o.1.1.
Proof.
case: o => [[o u] v]; rewrite /image_of /=.
have [h0 ev0 sv dv] := fitsP fv; have [w0 eh0 shh dh] := fitsP fh.
have [Hh Rh] := pattern_regular m h va (elimT ltP ev0); have [Hw Rw] := pattern_regular m w ha (elimT ltP eh0).
have Lr : length (rows l) = extent va by rewrite /= List.map_length List.seq_length.
have Lc : length (cols l) = extent ha by rewrite /= List.map_length List.seq_length.
have reg : regular l by split; rewrite /height /width /= ?Hh ?Hw.
have go' : (groups l %| length (kernel l))%N by rewrite /= Lks.
have Lb' : length (bias l) = length (kernel l) by rewrite /= Lks.
rewrite (conv_sum xs c0 reg g0 gc go' Lb') /height /width ?Hh ?Hw /= ?Lks ?ltn_ord //; last by rewrite Lr Lc.
rewrite Lr Lc; congr (_ + _); rewrite big_mkord; apply: eq_bigr => i _.
rewrite big_mkord; apply: eq_bigr => a _; rewrite big_mkord; apply: eq_bigr => b _; congr (_ * _).
have ic : (o %/ (co %/ g) * (c %/ g) + i < c)%N by apply: (channel_inside gc go).
have iu : (u * stride va + a * dilation va < before va + h + after va)%N.
  by apply: (reads_inside (k := extent va)) => //; rewrite -size_out_size.
have iv : (v * stride ha + b * dilation ha < before ha + w + after ha)%N.
  by apply: (reads_inside (k := extent ha)) => //; rewrite -size_out_size.
rewrite !nth_pattern // !source_src /at3 !(insub_ord ic, insub_ord iu, insub_ord iv).
rewrite /pad2 /select /pad2_src /= /meet.
by case: (src h _ _ _) => [r|] //=; case: (src w _ _ _).
Qed.
End Layer.

(* what enters a layer *)
Lemma entry_scale c h w (k : K) x i r s : shaped_as (c, h, w) x -> (i < c)%N -> (r < h)%N -> (s < w)%N ->
  entry (tscale mult k x) i r s = k * entry x i r s.
Proof.
move=> [Lx F] ic rh sw; have [Li Fi] : length (row x i) = h /\ List.Forall (fun q => length q = w) (row x i).
  by move/List.Forall_forall: F; apply; apply: nth_in; rewrite Lx.
have Lr : length (row (row x i) r) = w by move/List.Forall_forall: Fi; apply; apply: nth_in; rewrite Li.
by rewrite /entry /tscale (nth_maps _ nil) ?Lx // (nth_maps _ nil) ?Li // (nth_maps _ 0) ?Lr.
Qed.
Lemma entry_add c h w (x y : list (list (list K))) i r s : shaped_as (c, h, w) x -> shaped_as (c, h, w) y ->
  (i < c)%N -> (r < h)%N -> (s < w)%N -> entry (tadd plus x y) i r s = entry x i r s + entry y i r s.
Proof.
have part (z : list (list (list K))) : shaped_as (c, h, w) z -> (i < c)%N -> (r < h)%N ->
    [/\ length z = c, length (row z i) = h & length (row (row z i) r) = w].
  move=> [Lz F] ic rh; have [Li Fi] : length (row z i) = h /\ List.Forall (fun q => length q = w) (row z i).
    by move/List.Forall_forall: F; apply; apply: nth_in; rewrite Lz.
  by split=> //; move/List.Forall_forall: Fi; apply; apply: nth_in; rewrite Li.
move=> xs ys ic rh sw; have [Lx Li Lr] := part x xs ic rh; have [My Mi Mr] := part y ys ic rh.
by rewrite /entry /tadd !(nth_map2 _ nil nil) ?Lx ?My ?Li ?Mi // (nth_map2 _ 0 0) ?Lr ?Mr.
Qed.

Theorem gather_is_cnn_feed c h w (vs : list (list (list (list K)))) (fs : seq (nat * K)) i r s :
  fs <> nil -> (forall f, List.In f fs -> shaped_as (c, h, w) (List.nth f.1 vs nil)) ->
  (i < c)%N -> (r < h)%N -> (s < w)%N ->
  entry (gather plus mult vs fs) i r s = \sum_(f <- fs) f.2 * entry (List.nth f.1 vs nil) i r s.
Proof.
case: fs => // f fs _ S ic rh sw; rewrite /gather big_cons.
have Sf : shaped_as (c, h, w) (feed mult vs f) by apply: tscale_shape; apply: S; left.
rewrite -(entry_scale f.2 (S f _) ic rh sw) -/(feed mult vs f); last by left.
have {S} : forall q, List.In q fs -> shaped_as (c, h, w) (List.nth q.1 vs nil) by move=> q I; apply: S; right.
elim: fs (feed mult vs f) Sf => [|q fs IH] acc Sa S /=; first by rewrite big_nil addr0.
have Sq : shaped_as (c, h, w) (feed mult vs q) by apply: tscale_shape; apply: S; left.
rewrite IH ?big_cons; [|exact: tadd_shape|by move=> p I; apply: S; right].
by rewrite (entry_add Sa Sq) // (entry_scale q.2 (S q _) ic rh sw) ?addrA //; left.
Qed.
End Theory.

Print Assumptions conv_is_cnn_layer.
Print Assumptions gather_is_cnn_feed.
